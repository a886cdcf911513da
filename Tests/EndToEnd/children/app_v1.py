"""An app for the first interface of kclpy: dictionaries, and a shutdown with a reason."""
import behaviour
from amazon_kclpy import kcl


class RecordProcessor(kcl.RecordProcessorBase):
    def __init__(self):
        self.behaviour = behaviour.Behaviour()

    def initialize(self, shard_id):
        self.behaviour.began(shard_id)

    def process_records(self, records, checkpointer):
        self.behaviour.got(
            [(r.get("data"), r.get("partitionKey"), r.get("sequenceNumber"), r.get("subSequenceNumber"),
              r.get("approximateArrivalTimestamp")) for r in records], checkpointer)

    def shutdown(self, checkpointer, reason):
        self.behaviour.ended("shutdown", checkpointer, reason=reason)

    def shutdown_requested(self, checkpointer):
        self.behaviour.ended("shutdown_requested", checkpointer)


behaviour.run(kcl.KCLProcess(RecordProcessor()))
