"""The operations of the DynamoDB service model that a KCL uses, against the emulator: dynamodb_model.py ENDPOINT

Valid calls are held against botocore's model, and each constraint of each member of each input is broken once.
dynamodb_boto3.py judges what the operations mean. Prints "N passed, N failed"; 1 where something failed.
"""

import sys
import time

from constraints import try_forbidden
from raw import Raw, misfits, model

MODEL = model("dynamodb")
OPERATIONS = MODEL["operations"]
TABLE, INDEX = "model", "by-owner"
raw = Raw(sys.argv[1], "dynamodb")
passed, failures = 0, []

KEY = {"leaseKey": {"S": "shard-1"}}
EXPECTED = {"leaseCounter": {"Value": {"N": "1"}}}


def call(operation, **members):
    answer = raw.send(operation, members)
    assert answer.status == 200, f"{operation} {members} -> {answer}"
    wrong = misfits(MODEL, OPERATIONS[operation]["output"]["shape"], answer.body, "json") if "output" in OPERATIONS[
        operation] else []
    assert not wrong, f"{operation}: {wrong[:5]}"
    return answer.body or {}


def active(table=TABLE):
    deadline = time.monotonic() + 30
    while (told := call("DescribeTable", TableName=table)["Table"])["TableStatus"] != "ACTIVE" or any(
            index["IndexStatus"] != "ACTIVE" for index in told.get("GlobalSecondaryIndexes", [])):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def inputs(arn):
    """A valid input for each operation, with a place for most members, in an order that works."""
    return [
        ("CreateTable", {
            "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": False,
            "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"},
                                     {"AttributeName": "leaseOwner", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}], "GlobalSecondaryIndexes": [{
                "IndexName": INDEX, "KeySchema": [{"AttributeName": "leaseOwner", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"}}], "Tags": [{"Key": "a", "Value": "b"}]}),
        ("DescribeTable", {"TableName": TABLE}),
        ("ListTables", {"Limit": 10}),
        ("PutItem", {"TableName": TABLE, "Item": {**KEY, "leaseCounter": {"N": "1"}, "leaseOwner": {"S": "w"}},
                     "Expected": {"leaseKey": {"Exists": False}}, "ReturnConsumedCapacity": "TOTAL",
                     "ReturnValues": "NONE"}),
        ("UpdateItem", {"TableName": TABLE, "Key": KEY, "Expected": EXPECTED, "ReturnValues": "ALL_NEW",
                        "AttributeUpdates": {"checkpoint": {"Action": "PUT", "Value": {"S": "1"}}}}),
        ("GetItem", {"TableName": TABLE, "Key": KEY, "ConsistentRead": True, "ReturnConsumedCapacity": "INDEXES"}),
        ("Query", {"TableName": TABLE, "IndexName": INDEX, "KeyConditionExpression": "leaseOwner = :o", "Limit": 5,
                   "ExpressionAttributeValues": {":o": {"S": "w"}}, "Select": "ALL_PROJECTED_ATTRIBUTES",
                   "ReturnConsumedCapacity": "TOTAL"}),
        ("Scan", {"TableName": TABLE, "Limit": 5, "Segment": 0, "TotalSegments": 1, "Select": "ALL_ATTRIBUTES"}),
        ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [KEY]}}}),
        ("BatchWriteItem", {"RequestItems": {TABLE: [{"PutRequest": {"Item": {"leaseKey": {"S": "two"}}}}]}}),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": TABLE, "Key": KEY}}]}),
        ("TransactWriteItems", {"TransactItems": [
            {"Put": {"TableName": TABLE, "Item": {"leaseKey": {"S": "three"}},
                     "ConditionExpression": "attribute_not_exists(leaseKey)"}}]}),
        ("DeleteItem", {"TableName": TABLE, "Key": {"leaseKey": {"S": "two"}}, "ReturnValues": "ALL_OLD"}),
        ("UpdateContinuousBackups", {
            "TableName": TABLE, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}),
        ("DescribeContinuousBackups", {"TableName": TABLE}),
        ("UpdateTimeToLive", {
            "TableName": TABLE, "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expiry"}}),
        ("DescribeTimeToLive", {"TableName": TABLE}),
        ("TagResource", {"ResourceArn": arn, "Tags": [{"Key": "c", "Value": "d"}]}),
        ("ListTagsOfResource", {"ResourceArn": arn}),
        ("UntagResource", {"ResourceArn": arn, "TagKeys": ["c"]}),
        ("DescribeLimits", {}),
        ("UpdateTable", {"TableName": TABLE, "DeletionProtectionEnabled": False, "BillingMode": "PROVISIONED",
                         "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10},
                         "GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": INDEX, "ProvisionedThroughput": {
                             "ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}}]}),
        ("DeleteTable", {"TableName": TABLE}),
    ]


# Where DynamoDB says something else than the constraint that the model has.
OTHERWISE = {
    # More than it takes, or a name that no table can have.
    (operation, place, what): {"ValidationException", "SerializationException"}
    for place, operations, kinds in (
        ("RequestItems", ("BatchGetItem", "BatchWriteItem"), ("long", "long key", "long value")),
        ("TransactItems", ("TransactGetItems", "TransactWriteItems"), ("long",)))
    for operation in operations for what in kinds
}
# Places that no KCL fills, and that need a service behind them: replicas, streams, imports, autoscaling, warm capacity.
LEFT_OUT = ("Replica", "Stream", "OnDemand", "WarmThroughput", "SSE", "GlobalTable", "MultiRegion", "TableClass",
            "RecoveryPeriod", "ResourcePolicy", "LocalSecondary")


def judge(title, found):
    global passed
    if found:
        failures.append(title)
        print(f"FAILED {title}: {len(found)}\n  " + "\n  ".join(found))
    else:
        passed += 1


def main():
    if raw.send("DeleteTable", {"TableName": TABLE}).status == 200:
        while raw.send("DescribeTable", {"TableName": TABLE}).status == 200:
            time.sleep(0.05)
    account = None
    for operation, base in inputs("?"):
        found = []
        try:
            if account and "ResourceArn" in base:
                base = {**base, "ResourceArn": account}
            if operation == "DeleteTable":
                forbid(account)
            call(operation, **base)
            if operation in ("CreateTable", "UpdateTable"):
                account = active()["TableArn"]
        except Exception as failure:  # noqa: BLE001
            found = [f"{type(failure).__name__} {failure}"]
        judge(operation, found)
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(bool(failures))


def forbid(arn):
    tried = 0
    for operation, base in inputs(arn):
        if operation in ("CreateTable", "DeleteTable"):
            base = {**base, "TableName": "never-" + operation}
        wrong, count = try_forbidden(
            MODEL, raw, operation, base, OTHERWISE, names_members=False, left_out=LEFT_OUT)
        tried += count
        judge(f"forbidden input of {operation}", wrong)
    print(f"# {tried} forbidden inputs")


main()
