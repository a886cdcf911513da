"""Every operation of the services' own models, with valid and forbidden input, in JSON and CBOR."""

import json

import pytest

from harness import run_python
from test_referees import CommandLine, passed

STREAM_ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/words"
TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/leases"


@pytest.mark.parametrize("encoding", ["json", "cbor"])
def test_every_kinesis_operation_answers_as_the_service_model_says(bench, encoding):
    emulator = bench.emulator(limits=False)
    passed(run_python("kinesis_model.py", emulator.endpoint, "--encoding", encoding))


def test_the_dynamodb_operations_of_a_kcl_answer_as_the_service_model_says(bench):
    passed(run_python("dynamodb_model.py", bench.emulator().endpoint))


KINESIS = """
create-stream --stream-name words --shard-count 2
! create-stream --stream-name words --shard-count 2 = ResourceInUseException
add-tags-to-stream --stream-name words --tags colour=red
list-tags-for-stream --stream-name words > red
tag-resource --resource-arn ARN --tags size=small
list-tags-for-resource --resource-arn ARN > small
untag-resource --resource-arn ARN --tag-keys size
remove-tags-from-stream --stream-name words --tag-keys colour
increase-stream-retention-period --stream-name words --retention-period-hours 48
decrease-stream-retention-period --stream-name words --retention-period-hours 24
! decrease-stream-retention-period --stream-name words --retention-period-hours 25 = InvalidArgumentException
enable-enhanced-monitoring --stream-name words --shard-level-metrics IncomingBytes > IncomingBytes
disable-enhanced-monitoring --stream-name words --shard-level-metrics ALL
start-stream-encryption --stream-name words --encryption-type KMS --key-id alias/aws/kinesis
describe-stream-summary --stream-name words > alias/aws/kinesis
stop-stream-encryption --stream-name words --encryption-type KMS --key-id alias/aws/kinesis
register-stream-consumer --stream-arn ARN --consumer-name reader > CREATING
list-stream-consumers --stream-arn ARN > reader
describe-stream-consumer --stream-arn ARN --consumer-name reader > reader
! describe-stream-consumer --stream-arn ARN --consumer-name nobody = ResourceNotFoundException
deregister-stream-consumer --stream-arn ARN --consumer-name reader
put-record --stream-name words --partition-key a --data aGVsbG8= > shardId-
! put-record --stream-name words --partition-key a --data aGVsbG8= --explicit-hash-key x = ValidationException
describe-limits > OpenShardCount
describe-account-settings > MinimumThroughputBillingCommitment
update-max-record-size --stream-arn ARN --max-record-size-in-ki-b 2048
update-shard-count --stream-name words --target-shard-count 4 --scaling-type UNIFORM_SCALING > TargetShardCount
update-stream-mode --stream-arn ARN --stream-mode-details StreamMode=ON_DEMAND
delete-stream --stream-name words --enforce-consumer-deletion
"""
DYNAMODB = """
create-table --table-name leases --attribute-definitions AttributeName=leaseKey,AttributeType=S \
AttributeName=leaseOwner,AttributeType=S --key-schema AttributeName=leaseKey,KeyType=HASH --billing-mode \
PAY_PER_REQUEST --global-secondary-indexes IndexName=owners,KeySchema=[{AttributeName=leaseOwner,KeyType=HASH}],\
Projection={ProjectionType=ALL}
wait table-exists --table-name leases
put-item --table-name leases --item {"leaseKey":{"S":"a"},"leaseOwner":{"S":"w"},"leaseCounter":{"N":"1"}}
query --table-name leases --index-name owners --key-condition-expression leaseOwner=:o --expression-attribute-values \
{":o":{"S":"w"}} > leaseCounter
transact-write-items --transact-items [{"Delete":{"TableName":"leases","Key":{"leaseKey":{"S":"a"}}}}]
! get-item --table-name leases --key {"other":{"S":"a"}} = ValidationException
update-continuous-backups --table-name leases --point-in-time-recovery-specification \
PointInTimeRecoveryEnabled=true > ENABLED
update-time-to-live --table-name leases --time-to-live-specification Enabled=true,AttributeName=expiry > expiry
tag-resource --resource-arn TABLE --tags Key=colour,Value=red
list-tags-of-resource --resource-arn TABLE > red
update-table --table-name leases --billing-mode PROVISIONED --provisioned-throughput \
ReadCapacityUnits=5,WriteCapacityUnits=5 --global-secondary-index-updates \
[{"Update":{"IndexName":"owners","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}}] > TableName
delete-table --table-name leases > DELETING
"""


@pytest.mark.parametrize("service, script", [("kinesis", KINESIS), ("dynamodb", DYNAMODB)], ids=["kinesis", "dynamodb"])
def test_the_aws_cli_does_what_it_is_asked(bench, service, script):
    """A line is a command; `!` must fail and name what is behind `=`; what is behind `>` is in the answer."""
    emulator = bench.emulator()
    cli = CommandLine(bench, emulator.endpoint)
    for line in filter(None, script.replace(" ARN", f" {STREAM_ARN}").replace(" TABLE", f" {TABLE_ARN}").split("\n")):
        fails = line.startswith("!")
        line, _, error = line.removeprefix("! ").partition(" = ")
        line, _, shown = line.partition(" > ")
        answer = cli(service, *line.split(" "), fails=fails)
        assert (error if fails else shown) in (answer if fails else json.dumps(answer)), (line, answer)
        if service == "kinesis" and not line.startswith("delete"):
            emulator.wait_for_stream("words")
        if service == "dynamodb" and line.startswith("update-table"):
            cli("dynamodb", "wait", "table-exists", "--table-name", "leases")
