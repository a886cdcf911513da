"""An app for the third interface of kclpy: a call of its own for the end of a shard and for the loss of a lease."""
import behaviour
from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor


class RecordProcessor(processor.RecordProcessorBase):
    def __init__(self):
        self.behaviour = behaviour.Behaviour()

    def initialize(self, initialize_input):
        self.behaviour.began(
            initialize_input.shard_id, number=initialize_input.sequence_number,
            sub=initialize_input.sub_sequence_number)

    def process_records(self, process_records_input):
        self.behaviour.got(
            [(r.data, r.partition_key, r.sequence_number, r.sub_sequence_number, r.timestamp_millis)
             for r in process_records_input.records],
            process_records_input.checkpointer, behind=process_records_input.millis_behind_latest)

    def lease_lost(self, lease_lost_input):
        self.behaviour.ended("lease_lost")

    def shard_ended(self, shard_ended_input):
        self.behaviour.ended("shard_ended", shard_ended_input.checkpointer)

    def shutdown_requested(self, shutdown_requested_input):
        self.behaviour.ended("shutdown_requested", shutdown_requested_input.checkpointer)


behaviour.run(kcl.KCLProcess(RecordProcessor()))
