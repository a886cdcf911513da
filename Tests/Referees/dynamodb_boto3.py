"""boto3 against the emulator's DynamoDB.

usage: dynamodb_boto3.py ENDPOINT [REFERENCE_ENDPOINT]

Each case runs against ENDPOINT and asserts what AWS documents. With REFERENCE_ENDPOINT (moto, say) the case also runs
there, and a different answer or error type is reported; those differences do not fail the run, because the reference
is itself an imitation. Prints "N passed, N failed".
"""

import sys
import time
import uuid

import boto3
from boto3.dynamodb.types import Binary
from botocore.config import Config
from botocore.exceptions import ClientError

CASES = []


def case(function):
    CASES.append(function)
    return function


def client(endpoint):
    return boto3.client(
        "dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1}),
    )


class Bench:
    """One case's view of one service: remembers what it answered, for the comparison."""

    def __init__(self, endpoint):
        self.db = client(endpoint)
        self.table = "t-" + uuid.uuid4().hex[:12]
        self.tables = []
        self.answers = []

    def create(self, hash_type="S", range_type=None, name=None, **more):
        name = name or self.table
        keys = [{"AttributeName": "k", "KeyType": "HASH"}]
        types = [{"AttributeName": "k", "AttributeType": hash_type}]
        if range_type:
            keys.append({"AttributeName": "r", "KeyType": "RANGE"})
            types.append({"AttributeName": "r", "AttributeType": range_type})
        types += more.pop("types", [])
        more.setdefault("BillingMode", "PAY_PER_REQUEST")
        self.tables.append(name)
        self.db.create_table(TableName=name, KeySchema=keys, AttributeDefinitions=types, **more)
        self.db.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
        return name

    def settled(self):
        """The table's description once every change of it is through; None once it is gone."""
        for _ in range(200):
            try:
                table = self.db.describe_table(TableName=self.table)["Table"]
            except self.db.exceptions.ResourceNotFoundException:
                return None
            indexes = [index["IndexStatus"] for index in table.get("GlobalSecondaryIndexes", [])]
            if table["TableStatus"] == "ACTIVE" and all(status == "ACTIVE" for status in indexes):
                return table
            time.sleep(0.1)
        raise AssertionError(f"{self.table} does not settle: {table}")

    def put(self, **item):
        self.db.put_item(TableName=self.table, Item=item)

    def get(self, key="a", **more):
        return self.db.get_item(TableName=self.table, Key={"k": {"S": key}}, ConsistentRead=True, **more).get("Item")

    def update(self, expression, key="a", names=None, values=None, **more):
        if names:
            more["ExpressionAttributeNames"] = names
        if values:
            more["ExpressionAttributeValues"] = values
        return self.db.update_item(
            TableName=self.table, Key={"k": {"S": key}}, UpdateExpression=expression, **more)

    def note(self, value):
        """Keeps an answer for the comparison, in a form without the order of sets."""
        self.answers.append(canonical(value))
        return value

    def error(self, call, *arguments, **members):
        """The type and message of the error that the call must raise."""
        try:
            answer = call(*arguments, **members)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            self.answers.append(code)
            return code, error.response["Error"]["Message"], error.response
        self.answers.append("no error")
        raise AssertionError(f"no error but {answer}")

    def close(self):
        for name in self.tables:
            try:
                self.db.delete_table(TableName=name)
            except ClientError:
                pass


def canonical(value):
    if isinstance(value, dict):
        return {
            key: sorted(map(repr, inner)) if key in ("SS", "NS", "BS") else canonical(inner)
            for key, inner in value.items() if key not in ("ResponseMetadata", "ConsumedCapacity")
        }
    if isinstance(value, list):
        return [canonical(inner) for inner in value]
    if isinstance(value, Binary):
        return value.value
    return value


def s(text):
    return {"S": text}


def n(number):
    return {"N": str(number)}


# Tables


@case
def creates_describes_lists_and_deletes_a_table(b):
    b.create()
    table = b.db.describe_table(TableName=b.table)["Table"]
    b.note({key: table[key] for key in ("TableStatus", "KeySchema", "AttributeDefinitions", "ItemCount")})
    assert table["TableStatus"] == "ACTIVE"
    assert table["TableArn"].endswith(":table/" + b.table)
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert b.table in b.db.list_tables()["TableNames"]
    b.db.delete_table(TableName=b.table)
    assert b.settled() is None


@case
def refuses_a_second_table_of_the_same_name(b):
    b.create()
    code, message, _ = b.error(b.create)
    assert (code, message) == ("ResourceInUseException", f"Table already exists: {b.table}")


@case
def names_the_table_it_does_not_find(b):
    code, message, _ = b.error(b.db.describe_table, TableName="nowhere")
    assert code == "ResourceNotFoundException"
    assert message == "Requested resource not found: Table: nowhere not found"
    assert b.error(b.db.get_item, TableName="nowhere", Key={"k": s("a")})[1] == "Requested resource not found"


@case
def pages_the_list_of_tables(b):
    names = sorted(b.create(name=f"{b.table}-{i}") for i in range(3))
    first = b.db.list_tables(Limit=2, ExclusiveStartTableName=b.table)
    assert first["TableNames"] == names[:2] and first["LastEvaluatedTableName"] == names[1]
    rest = b.db.list_tables(ExclusiveStartTableName=names[1], Limit=1)
    assert rest["TableNames"] == names[2:]


@case
def protects_a_table_from_deletion(b):
    b.create(DeletionProtectionEnabled=True)
    code, message, _ = b.error(b.db.delete_table, TableName=b.table)
    assert code == "ValidationException" and "protected against deletion" in message
    b.db.update_table(TableName=b.table, DeletionProtectionEnabled=False)
    b.db.delete_table(TableName=b.table)


@case
def changes_billing_and_throughput(b):
    b.create(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 3, "WriteCapacityUnits": 4})
    table = b.db.describe_table(TableName=b.table)["Table"]
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 3
    b.db.update_table(TableName=b.table, ProvisionedThroughput={"ReadCapacityUnits": 7, "WriteCapacityUnits": 8})
    table = b.settled()
    assert b.note(table["ProvisionedThroughput"]["WriteCapacityUnits"]) == 8
    b.db.update_table(TableName=b.table, BillingMode="PAY_PER_REQUEST")
    table = b.settled()
    assert b.note(table["BillingModeSummary"]["BillingMode"]) == "PAY_PER_REQUEST"


@case
def adds_and_removes_an_index(b):
    b.create()
    b.put(k=s("a"), o=s("me"))
    b.db.update_table(
        TableName=b.table,
        AttributeDefinitions=[{"AttributeName": x, "AttributeType": "S"} for x in ("k", "o")],
        GlobalSecondaryIndexUpdates=[{"Create": {
            "IndexName": "by-o", "Projection": {"ProjectionType": "KEYS_ONLY"},
            "KeySchema": [{"AttributeName": "o", "KeyType": "HASH"}, {"AttributeName": "k", "KeyType": "RANGE"}]}}])
    index = b.settled()["GlobalSecondaryIndexes"][0]
    assert index["IndexStatus"] == "ACTIVE" and index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    found = b.db.query(
        TableName=b.table, IndexName="by-o", KeyConditionExpression="o = :o",
        ExpressionAttributeValues={":o": s("me")})
    assert b.note(found["Items"]) == [{"k": s("a"), "o": s("me")}]
    b.db.update_table(TableName=b.table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-o"}}])
    assert "GlobalSecondaryIndexes" not in b.settled()


@case
def refuses_unused_attribute_definitions(b):
    code, _, _ = b.error(
        b.db.create_table, TableName=b.table, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": x, "AttributeType": "S"} for x in ("k", "x")])
    assert code == "ValidationException"


@case
def keeps_tags_and_backups(b):
    b.create(Tags=[{"Key": "team", "Value": "blue"}])
    arn = b.db.describe_table(TableName=b.table)["Table"]["TableArn"]
    b.db.tag_resource(ResourceArn=arn, Tags=[{"Key": "more", "Value": "1"}])
    tags = b.db.list_tags_of_resource(ResourceArn=arn)["Tags"]
    assert b.note(sorted(t["Key"] for t in tags)) == ["more", "team"]
    b.db.untag_resource(ResourceArn=arn, TagKeys=["more"])
    b.db.update_continuous_backups(
        TableName=b.table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    backups = b.db.describe_continuous_backups(TableName=b.table)["ContinuousBackupsDescription"]
    assert b.note(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]) == "ENABLED"
    expiry = b.db.describe_time_to_live(TableName=b.table)["TimeToLiveDescription"]
    assert b.note(expiry["TimeToLiveStatus"]) == "DISABLED"


# Items


@case
def keeps_every_type(b):
    b.create()
    item = {
        "k": s("a"), "n": n("12.5"), "b": {"B": b"\x00\xff"}, "t": {"BOOL": True}, "z": {"NULL": True},
        "l": {"L": [s("x"), n(1), {"L": []}]}, "m": {"M": {"in": {"M": {}}}}, "e": s(""),
        "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["2", "1"]}, "bs": {"BS": [b"1", b"2"]},
    }
    b.put(**item)
    assert canonical(b.note(b.get())) == canonical(item)


@case
def normalises_numbers(b):
    b.create()
    b.put(k=s("a"), x=n("1.50"), y=n("007"), z=n("1E3"), m=n("-0.0"))
    item = b.note(b.get())
    assert (item["x"], item["y"], item["z"], item["m"]) == (n("1.5"), n("7"), n("1000"), n("0"))


@case
def adds_numbers_exactly(b):
    b.create()
    big = "12345678901234567890123456789012345678"
    b.put(k=s("a"), x=n(big))
    b.update("SET x = x + :one", values={":one": n(1)})
    assert b.note(b.get()["x"]) == n(int(big) + 1)
    b.put(k=s("a"), x=n("0.1"))
    b.update("SET x = x + :y", values={":y": n("0.2")})
    assert b.note(b.get()["x"]) == n("0.3")


@case
def refuses_bad_numbers(b):
    b.create()
    for text in ("abc", "", "1E126", "1E-131", "1" * 39, "0x10", "1e", "--1"):
        assert b.error(b.put, k=s("a"), x={"N": text})[0] == "ValidationException", text


@case
def refuses_empty_sets_keys_and_duplicates(b):
    b.create()
    for bad in ({"SS": []}, {"SS": ["a", "a"]}, {"NS": ["1", "1.0"]}):
        assert b.error(b.put, k=s("a"), x=bad)[0] == "ValidationException", bad
    code, message, _ = b.error(b.put, k=s(""))
    assert code == "ValidationException" and "empty string value. Key: k" in message


@case
def refuses_items_without_or_with_other_keys(b):
    b.create()
    assert b.error(b.put, x=s("a"))[1] == "One or more parameter values were invalid: Missing the key k in the item"
    assert b.error(b.put, k=n(1))[1] == (
        "One or more parameter values were invalid: Type mismatch for key k expected: S actual: N")
    for key in ({"k": n(1)}, {"x": s("a")}, {"k": s("a"), "x": s("b")}):
        assert b.error(b.db.get_item, TableName=b.table, Key=key)[1] == (
            "The provided key element does not match the schema")


@case
def refuses_items_beyond_400_kb(b):
    b.create()
    b.put(k=s("a"), x=s("x" * (400 * 1024 - 3)))
    assert b.error(b.put, k=s("a"), x=s("x" * (400 * 1024 - 2)))[1] == (
        "Item size has exceeded the maximum allowed size")
    assert b.error(b.put, k=s("x" * 2049))[0] == "ValidationException"


@case
def returns_what_return_values_asks_for(b):
    b.create()
    b.put(k=s("a"), x=n(1), y=n(1))
    for word, expected in {
        "NONE": None, "ALL_OLD": {"k": s("a"), "x": n(2), "y": n(1)}, "UPDATED_OLD": {"x": n(3)},
        "ALL_NEW": {"k": s("a"), "x": n(5), "y": n(1)}, "UPDATED_NEW": {"x": n(6)},
    }.items():
        answer = b.update("SET x = x + :o", values={":o": n(1)}, ReturnValues=word)
        assert b.note(answer.get("Attributes")) == expected, (word, answer)
    old = b.db.put_item(TableName=b.table, Item={"k": s("a")}, ReturnValues="ALL_OLD")["Attributes"]
    assert old["x"] == n(6)
    assert b.error(b.db.put_item, TableName=b.table, Item={"k": s("a")}, ReturnValues="ALL_NEW")[0] == (
        "ValidationException")
    gone = b.db.delete_item(TableName=b.table, Key={"k": s("a")}, ReturnValues="ALL_OLD")
    assert b.note(gone["Attributes"]) == {"k": s("a")}
    assert "Attributes" not in b.db.delete_item(TableName=b.table, Key={"k": s("a")}, ReturnValues="ALL_OLD")


@case
def a_failed_condition_returns_the_item_if_asked(b):
    b.create()
    b.put(k=s("a"), x=n(1))
    code, message, response = b.error(
        b.update, "SET x = :n", values={":n": n(2), ":c": n(9)}, ConditionExpression="x = :c",
        ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert (code, message) == ("ConditionalCheckFailedException", "The conditional request failed")
    assert b.note(response["Item"]) == {"k": s("a"), "x": n(1)}
    _, _, response = b.error(
        b.update, "SET x = :n", values={":n": n(2), ":c": n(9)}, ConditionExpression="x = :c")
    assert "Item" not in response
    assert b.get()["x"] == n(1)


@case
def consumed_capacity_follows_sizes(b):
    b.create()
    answer = b.db.put_item(
        TableName=b.table, Item={"k": s("a"), "x": s("x" * 5000)}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": b.table, "CapacityUnits": 5.0}
    read = b.db.get_item(
        TableName=b.table, Key={"k": s("a")}, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
    assert read["ConsumedCapacity"]["CapacityUnits"] == 2.0
    read = b.db.scan(TableName=b.table, ReturnConsumedCapacity="INDEXES")
    assert read["ConsumedCapacity"]["Table"]["CapacityUnits"] == 1.0


# Update expressions


@case
def set_remove_add_delete(b):
    b.create()
    b.put(k=s("a"), c=n(5), gone=s("x"), tags={"SS": ["a", "b"]}, l={"L": [n(1)]})
    b.update(
        "SET c = c - :two, d = if_not_exists(d, :zero), l = list_append(l, :more) REMOVE gone ADD h :two DELETE tags :b",
        values={":two": n(2), ":zero": n(0), ":more": {"L": [n(2), n(3)]}, ":b": {"SS": ["b"]}})
    assert b.note(b.get()) == {
        "k": s("a"), "c": n(3), "d": n(0), "l": {"L": [n(1), n(2), n(3)]}, "h": n(2), "tags": {"SS": ["a"]}}


@case
def deleting_the_last_set_member_removes_the_attribute(b):
    b.create()
    b.put(k=s("a"), t={"SS": ["x"]})
    b.update("DELETE t :x", values={":x": {"SS": ["x", "y"]}})
    assert b.note(b.get()) == {"k": s("a")}


@case
def updates_nested_paths(b):
    b.create()
    b.put(k=s("a"), m={"M": {"l": {"L": [n(0), n(1), n(2)]}, "x": n(1)}})
    b.update(
        "SET m.l[1] = :v, m.l[9] = :w, m.#new = m.x REMOVE m.l[0]", names={"#new": "new"},
        values={":v": s("v"), ":w": s("w")})
    assert b.note(b.get())["m"]["M"] == {"l": {"L": [s("v"), n(2), s("w")]}, "x": n(1), "new": n(1)}
    code, message, _ = b.error(b.update, "SET nope.way = :v", values={":v": n(1)})
    assert message == "The document path provided in the update expression is invalid for update"


@case
def operands_read_the_item_as_it_was(b):
    b.create()
    b.put(k=s("a"), x=n(1), y=n(2))
    b.update("SET x = y, y = x")
    assert b.note(b.get()) == {"k": s("a"), "x": n(2), "y": n(1)}


@case
def update_creates_what_is_not_there(b):
    b.create()
    b.update("SET x = :v", values={":v": n(1)})
    assert b.note(b.get()) == {"k": s("a"), "x": n(1)}
    b.db.update_item(TableName=b.table, Key={"k": s("b")})
    assert b.note(b.get("b")) == {"k": s("b")}


@case
def refuses_wrong_update_expressions(b):
    b.create()
    b.put(k=s("a"), x=n(1), s=s("text"), m={"M": {"a": n(1)}})
    v = {":v": n(1)}
    for expression, values, text in [
        ("SET x = :v, x = :v", v, "Two document paths overlap with each other"),
        ("SET m = :v, m.a = :v", v, "Two document paths overlap with each other"),
        ("SET m.a = :v, m[0] = :v", v, "Two document paths conflict with each other"),
        ("SET k = :v", v, "Cannot update attribute k. This attribute is part of the key"),
        ("SET x = :v SET z = :v", v, 'The "SET" section can only be used once in an update expression'),
        ("SET x :v", v, 'Syntax error; token: ":v", near: "x :v"'),
        ("SET x = ", None, 'Syntax error; token: "<EOF>", near: "="'),
        ("SET x = :v)", v, 'Syntax error; token: ")", near: ":v)"'),
        ("JUMP x", None, 'Syntax error; token: "JUMP", near: "JUMP x"'),
        ("SET x = :w", v, "An expression attribute value used in expression is not defined; attribute value: :w"),
        ("SET #x = :v", v, "An expression attribute name used in the document path is not defined"),
        ("SET name = :v", v, "Attribute name is a reserved keyword; reserved keyword: name"),
        ("SET x = y", None, "The provided expression refers to an attribute that does not exist in the item"),
        ("SET x = s + :v", v, "An operand in the update expression has an incorrect data type"),
        ("SET x = nope(x, :v)", v, "Invalid function name; function: nope"),
        ("SET x = size(x)", None, "The function is not allowed in an update expression; function: size"),
        ("SET x = list_append(x)", None, "Incorrect number of operands for operator or function"),
        ("ADD x :v", {":v": s("1")}, "Incorrect operand type for operator or function; operator: ADD"),
        ("SET x = :v", {":v": n(1), ":w": n(2)},
         "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"),
    ]:
        code, message, _ = b.error(b.update, expression, values=values)
        assert code == "ValidationException" and text in message, (expression, message)
    assert b.get()["x"] == n(1)


# Conditions


def matches(b, expression, values=None, names=None):
    more = {"ExpressionAttributeValues": values} if values else {}
    if names:
        more["ExpressionAttributeNames"] = names
    return len(b.db.scan(TableName=b.table, FilterExpression=expression, **more)["Items"]) == 1


@case
def evaluates_every_operator_and_function(b):
    b.create()
    b.put(
        k=s("a"), x=n("10"), s=s("hello"), l={"L": [n(1), s("z")]}, m={"M": {"p": {"L": [n(7)]}}}, t={"SS": ["u", "v"]},
        b={"B": b"abc"}, z={"NULL": True}, f={"BOOL": False})
    v = {":9": n(9), ":10": n("1E1"), ":11": n(11), ":h": s("he"), ":lo": s("lo"), ":u": s("u"), ":S": s("S"),
         ":z": s("z"), ":7": n(7), ":f": {"BOOL": False}, ":5": n(5), ":ab": {"B": b"ab"}}
    for expression, expected in {
        "x = :10": True, "x <> :10": False, "x < :11": True, "x < :9": False, "x <= :10": True, "x > :9": True,
        "x >= :11": False, "x > :h": False, "x BETWEEN :9 AND :11": True, "x IN (:9, :10)": True, "x IN (:9)": False,
        "attribute_exists(x)": True, "attribute_exists(m.p[0])": True, "attribute_exists(m.p[1])": False,
        "attribute_not_exists(nope)": True, "attribute_type(s, :S)": True, "attribute_type(x, :S)": False,
        "begins_with(s, :h)": True, "begins_with(s, :lo)": False, "begins_with(b, :ab)": True,
        "contains(s, :lo)": True, "contains(t, :u)": True, "contains(t, :h)": False, "contains(l, :z)": True,
        "contains(b, :ab)": True, "size(s) = :5": True, "size(t) < :5": True, "m.p[0] = :7": True, "f = :f": True,
        "NOT x = :9": True, "NOT (x = :9 OR x = :10)": False, "x = :9 OR x = :10 AND s = :z": False,
        "(x = :9 OR x = :10) AND NOT s = :z": True, "nope = :9": False, "nope <> :9": True, "nope < :9": False,
        "x = :9 or x = :10": True, "x between :9 and :11 and size (l) < :5": True, ":10 = x": True,
    }.items():
        used = {key: value for key, value in v.items() if any(
            w.strip("(),") == key for w in expression.replace(",", " ").replace(")", " ").split())}
        assert b.note(matches(b, expression, used)) == expected, expression


@case
def refuses_wrong_conditions(b):
    b.create()
    b.put(k=s("a"))
    one = {":v": n(1)}
    for expression, values, names, text in [
        ("a = = :v", one, None, 'Syntax error; token: "=", near: "= = :v"'),
        ("a = :v AND", one, None, 'Syntax error; token: "<EOF>", near: "AND"'),
        ("a", None, None, 'Syntax error; token: "<EOF>", near: "a"'),
        ("a-b = :v", one, None, 'Syntax error; token: "-", near: "a-b"'),
        ("(a = :v", one, None, "Syntax error"),
        ("((a = :v))", one, None, "The expression has redundant parentheses"),
        ("status = :v", one, None, "Attribute name is a reserved keyword; reserved keyword: status"),
        ("size(a)", None, None, "The function is not allowed to be used this way in an expression; function: size"),
        ("nope(a)", None, None, "Invalid function name; function: nope"),
        ("attribute_exists(a, b)", None, None, "Incorrect number of operands for operator or function"),
        ("attribute_exists(:v)", one, None, "Operator or function requires a document path"),
        ("begins_with(a, :v)", one, None, "Incorrect operand type for operator or function"),
        ("a BETWEEN :v AND :w", {":v": n(2), ":w": n(1)}, None, "The BETWEEN operator requires upper bound"),
        ("attribute_type(a, :v)", {":v": s("Q")}, None, "Invalid attribute type name found; type: Q"),
        ("a = :v", one, {"#x": "x"}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}"),
        ("a = a", None, None, "The first operand must be distinct from the remaining operands"),
        ("  ", None, None, "The expression can not be empty"),
    ]:
        more = {}
        if values:
            more["ExpressionAttributeValues"] = values
        if names:
            more["ExpressionAttributeNames"] = names
        code, message, _ = b.error(
            b.db.put_item, TableName=b.table, Item={"k": s("a")}, ConditionExpression=expression, **more)
        assert code == "ValidationException" and text in message, (expression, message)


@case
def refuses_expressions_beside_legacy_parameters(b):
    b.create()
    code, message, _ = b.error(
        b.db.update_item, TableName=b.table, Key={"k": s("a")}, UpdateExpression="REMOVE x",
        Expected={"x": {"Exists": False}})
    assert message == (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {Expected} Expression parameters: {UpdateExpression}")


# Legacy parameters


@case
def legacy_updates(b):
    b.create()
    b.put(k=s("a"), x=n(1), t={"SS": ["a", "b"]}, gone=n(1))
    answer = b.db.update_item(
        TableName=b.table, Key={"k": s("a")}, ReturnValues="ALL_NEW", AttributeUpdates={
            "x": {"Action": "ADD", "Value": n(2)}, "t": {"Action": "DELETE", "Value": {"SS": ["a"]}},
            "gone": {"Action": "DELETE"}, "new": {"Value": s("v")}, "count": {"Action": "ADD", "Value": n(1)}})
    assert b.note(answer["Attributes"]) == {
        "k": s("a"), "x": n(3), "t": {"SS": ["b"]}, "new": s("v"), "count": n(1)}
    b.db.update_item(TableName=b.table, Key={"k": s("b")}, AttributeUpdates={"x": {"Action": "DELETE"}})
    assert "Item" not in b.db.get_item(TableName=b.table, Key={"k": s("b")})


@case
def legacy_conditions(b):
    b.create()
    b.put(k=s("a"), x=n(5), s=s("hello"))

    def holds(expected, operator=None):
        more = {"ConditionalOperator": operator} if operator else {}
        try:
            b.db.put_item(TableName=b.table, Item={"k": s("a"), "x": n(5), "s": s("hello")}, Expected=expected, **more)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConditionalCheckFailedException", error
            return False
        return True

    def compare(name, word, *values):
        return {name: {"ComparisonOperator": word, "AttributeValueList": list(values)}} if values else {
            name: {"ComparisonOperator": word}}

    for expected, result in [
        ({"x": {"Value": n(5)}}, True), ({"x": {"Value": n(6)}}, False), ({"x": {"Exists": False}}, False),
        ({"q": {"Exists": False}}, True), ({"x": {"Value": n("5.0"), "Exists": True}}, True),
        (compare("x", "EQ", n(5)), True), (compare("x", "NE", n(5)), False), (compare("x", "LT", n(6)), True),
        (compare("x", "LE", n(4)), False), (compare("x", "GT", n(4)), True), (compare("x", "GE", n(6)), False),
        (compare("x", "BETWEEN", n(4), n(6)), True), (compare("x", "IN", n(1), n(5)), True),
        (compare("x", "NULL"), False), (compare("x", "NOT_NULL"), True), (compare("s", "BEGINS_WITH", s("he")), True),
        (compare("s", "CONTAINS", s("ell")), True), (compare("s", "NOT_CONTAINS", s("ell")), False),
    ]:
        assert b.note(holds(expected)) == result, expected
    both = {"x": {"Value": n(5)}, "s": {"Value": s("no")}}
    assert b.note([holds(both), holds(both, "OR"), holds(both, "AND")]) == [False, True, False]
    assert b.error(
        b.db.put_item, TableName=b.table, Item={"k": s("a")}, Expected={"x": {}})[0] == "ValidationException"


@case
def legacy_query_and_scan(b):
    b.create(range_type="N")
    for i in range(5):
        b.put(k=s("a"), r=n(i), odd={"BOOL": i % 2 == 1}, x=s("x"))
    answer = b.db.query(
        TableName=b.table, AttributesToGet=["r"],
        KeyConditions={
            "k": {"ComparisonOperator": "EQ", "AttributeValueList": [s("a")]},
            "r": {"ComparisonOperator": "GT", "AttributeValueList": [n(1)]}},
        QueryFilter={"odd": {"ComparisonOperator": "NE", "AttributeValueList": [{"BOOL": True}]}})
    assert b.note(answer["Items"]) == [{"r": n(2)}, {"r": n(4)}]
    answer = b.db.scan(
        TableName=b.table, ScanFilter={"r": {"ComparisonOperator": "IN", "AttributeValueList": [n(1), n(3)]}})
    assert b.note([i["r"] for i in answer["Items"]]) == [n(1), n(3)]


# Reading many


@case
def scans_in_pages_and_segments(b):
    b.create()
    keys = {f"key-{i}" for i in range(60)}
    for key in keys:
        b.put(k=s(key))
    seen, start = [], {}
    while True:
        page = b.db.scan(TableName=b.table, Limit=7, **start)
        assert page["ScannedCount"] <= 7
        seen += [i["k"]["S"] for i in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert len(seen) == 60 and set(seen) == keys
    parts = [
        [i["k"]["S"] for i in b.db.scan(TableName=b.table, Segment=i, TotalSegments=4)["Items"]] for i in range(4)]
    assert sorted(sum(parts, [])) == sorted(keys)
    assert b.db.scan(TableName=b.table, Select="COUNT")["Count"] == 60
    assert b.error(b.db.scan, TableName=b.table, Segment=1)[0] == "ValidationException"
    assert b.error(b.db.scan, TableName=b.table, Segment=2, TotalSegments=2)[0] == "ValidationException"


@case
def a_scan_page_ends_at_one_megabyte(b):
    b.create()
    for i in range(6):
        b.put(k=s(str(i)), x=s("x" * 300_000))
    page = b.db.scan(TableName=b.table)
    assert b.note(page["Count"]) == 3 and "LastEvaluatedKey" in page
    assert b.note(b.db.scan(TableName=b.table, ExclusiveStartKey=page["LastEvaluatedKey"])["Count"]) == 3


@case
def queries_sort_keys(b):
    b.create(range_type="N")
    for i in (5, -3, 10, 0, 2.5):
        b.put(k=s("a"), r=n(i))
    b.put(k=s("b"), r=n(1))

    def rows(condition, values, **more):
        answer = b.db.query(
            TableName=b.table, KeyConditionExpression="k = :k" + condition,
            ExpressionAttributeValues={":k": s("a"), **values}, **more)
        return b.note([float(i["r"]["N"]) for i in answer["Items"]])

    assert rows("", {}) == [-3, 0, 2.5, 5, 10]
    assert rows("", {}, ScanIndexForward=False) == [10, 5, 2.5, 0, -3]
    assert rows(" AND r > :r", {":r": n(0)}) == [2.5, 5, 10]
    assert rows(" AND r <= :r", {":r": n(0)}) == [-3, 0]
    assert rows(" AND r BETWEEN :r AND :q", {":r": n(0), ":q": n(5)}) == [0, 2.5, 5]
    assert rows(" AND r = :r", {":r": n("2.50")}) == [2.5]
    assert rows(" AND r < :r", {":r": n(3)}, Limit=2, ScanIndexForward=False) == [2.5, 0]
    first = b.db.query(
        TableName=b.table, KeyConditionExpression="k = :k", ExpressionAttributeValues={":k": s("a")}, Limit=2)
    rest = b.db.query(
        TableName=b.table, KeyConditionExpression="k = :k", ExpressionAttributeValues={":k": s("a")},
        ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [float(i["r"]["N"]) for i in rest["Items"]] == [2.5, 5, 10]


@case
def queries_string_prefixes(b):
    b.create(range_type="S")
    for text in ("a", "ab", "abc", "b", "aé"):
        b.put(k=s("a"), r=s(text))
    answer = b.db.query(
        TableName=b.table, KeyConditionExpression="k = :k AND begins_with(r, :p)",
        ExpressionAttributeValues={":k": s("a"), ":p": s("a")})
    assert b.note([i["r"]["S"] for i in answer["Items"]]) == ["a", "ab", "abc", "aé"]


@case
def filters_and_projects_queries(b):
    b.create(range_type="N")
    for i in range(4):
        b.put(k=s("a"), r=n(i), m={"M": {"x": n(i), "y": n(0)}}, l={"L": [n(i), n(9)]})
    answer = b.db.query(
        TableName=b.table, KeyConditionExpression="k = :k", FilterExpression="m.x > :x",
        ProjectionExpression="r, m.x, l[1]", ExpressionAttributeValues={":k": s("a"), ":x": n(1)})
    assert (answer["Count"], answer["ScannedCount"]) == (2, 4)
    assert b.note(answer["Items"])[0] == {"r": n(2), "m": {"M": {"x": n(2)}}, "l": {"L": [n(9)]}}


@case
def refuses_wrong_queries(b):
    b.create(range_type="N")
    k = {":k": s("a")}
    for condition, values, more in [
        ("r = :k", {":k": n(1)}, {}), ("k > :k", k, {}), ("k = :k OR k = :k", k, {}), ("k = :k AND x = :k", k, {}),
        ("k = :k AND r <> :r", {**k, ":r": n(1)}, {}), ("k = :k AND r > :r AND r < :r", {**k, ":r": n(1)}, {}),
        ("k = :k", {":k": n(1)}, {}), ("k = :k", k, {"IndexName": "nope"}),
        ("k = :k", k, {"FilterExpression": "r = :k"}),
    ]:
        code, message, _ = b.error(
            b.db.query, TableName=b.table, KeyConditionExpression=condition, ExpressionAttributeValues=values, **more)
        assert code == "ValidationException", (condition, message)


@case
def queries_and_scans_a_global_index(b):
    b.create(
        types=[{"AttributeName": "o", "AttributeType": "S"}],
        GlobalSecondaryIndexes=[{
            "IndexName": "LeaseOwnerToLeaseKeyIndex", "Projection": {"ProjectionType": "KEYS_ONLY"},
            "KeySchema": [{"AttributeName": "o", "KeyType": "HASH"}, {"AttributeName": "k", "KeyType": "RANGE"}]}])
    for i in range(6):
        b.put(k=s(f"shard-{i}"), o=s(f"w{i % 2}"), x=n(i))
    b.put(k=s("free"))
    b.update("SET o = :o", key="shard-0", values={":o": s("w1")})
    b.update("REMOVE o", key="shard-3")

    def owned(owner, **more):
        answer = b.db.query(
            TableName=b.table, IndexName="LeaseOwnerToLeaseKeyIndex", KeyConditionExpression="o = :o",
            ExpressionAttributeValues={":o": s(owner)}, **more)
        return answer["Items"], answer.get("LastEvaluatedKey")

    assert b.note(owned("w1")[0]) == [{"k": s(f"shard-{i}"), "o": s("w1")} for i in (0, 1, 5)]
    page, last = owned("w1", Limit=2)
    assert b.note(last) == {"k": s("shard-1"), "o": s("w1")}
    assert [i["k"]["S"] for i in owned("w1", ExclusiveStartKey=last)[0]] == ["shard-5"]
    assert b.db.scan(TableName=b.table, IndexName="LeaseOwnerToLeaseKeyIndex")["Count"] == 5
    assert b.error(owned, "w1", ConsistentRead=True)[0] == "ValidationException"
    assert b.error(b.put, k=s("bad"), o=n(1))[0] == "ValidationException"


# Batches and transactions


@case
def batches(b):
    b.create()
    b.db.batch_write_item(RequestItems={b.table: [{"PutRequest": {"Item": {"k": s(str(i))}}} for i in range(25)]})
    b.db.batch_write_item(RequestItems={b.table: [
        {"DeleteRequest": {"Key": {"k": s("0")}}}, {"PutRequest": {"Item": {"k": s("1"), "x": n(1)}}}]})
    answer = b.db.batch_get_item(RequestItems={
        b.table: {"Keys": [{"k": s(x)} for x in ("0", "1", "2")], "ProjectionExpression": "k, x"}})
    found = sorted((i["k"]["S"], "x" in i) for i in answer["Responses"][b.table])
    assert b.note(found) == [("1", True), ("2", False)] and not answer["UnprocessedKeys"]
    twice = [{"PutRequest": {"Item": {"k": s("1")}}}] * 2
    assert b.error(b.db.batch_write_item, RequestItems={b.table: twice})[1] == (
        "Provided list of item keys contains duplicates")
    many = [{"PutRequest": {"Item": {"k": s(str(i))}}} for i in range(26)]
    assert b.error(b.db.batch_write_item, RequestItems={b.table: many})[0] == "ValidationException"


@case
def transactions_happen_whole_or_not_at_all(b):
    b.create()
    other = b.create(name=b.table + "-other")
    b.put(k=s("a"), x=n(1))

    def transact(condition):
        return b.db.transact_write_items(TransactItems=[
            {"Put": {"TableName": other, "Item": {"k": s("new")}}},
            {"Update": {
                "TableName": b.table, "Key": {"k": s("a")}, "UpdateExpression": "SET x = x + :one",
                "ConditionExpression": condition, "ExpressionAttributeValues": {":one": n(1)},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
            {"ConditionCheck": {
                "TableName": other, "Key": {"k": s("never")}, "ConditionExpression": "attribute_not_exists(k)"}},
        ])

    code, message, response = b.error(transact, "x > :one")
    assert code == "TransactionCanceledException"
    assert message.endswith("[None, ConditionalCheckFailed, None]"), message
    reasons = response["CancellationReasons"]
    assert [r["Code"] for r in reasons] == ["None", "ConditionalCheckFailed", "None"]
    assert b.note(reasons[1]["Item"]) == {"k": s("a"), "x": n(1)}
    assert b.db.scan(TableName=other)["Count"] == 0
    transact("x = :one")
    assert b.note(b.get()["x"]) == n(2)
    answer = b.db.transact_get_items(TransactItems=[
        {"Get": {"TableName": other, "Key": {"k": s("new")}}},
        {"Get": {"TableName": b.table, "Key": {"k": s("nope")}}},
        {"Get": {"TableName": b.table, "Key": {"k": s("a")}, "ProjectionExpression": "x"}}])
    assert b.note(answer["Responses"]) == [{"Item": {"k": s("new")}}, {}, {"Item": {"x": n(2)}}]


@case
def a_transaction_touches_an_item_once_and_a_token_counts_once(b):
    b.create()
    put = {"Put": {"TableName": b.table, "Item": {"k": s("a")}}}
    assert b.error(b.db.transact_write_items, TransactItems=[put, put])[0] == "ValidationException"
    add = {"Update": {
        "TableName": b.table, "Key": {"k": s("c")}, "UpdateExpression": "ADD x :o",
        "ExpressionAttributeValues": {":o": n(1)}}}
    token = uuid.uuid4().hex
    for _ in range(2):
        b.db.transact_write_items(TransactItems=[add], ClientRequestToken=token)
    assert b.note(b.get("c")["x"]) == n(1)


# Limits


@case
def nests_32_levels_and_no_deeper(b):
    b.create()

    def nested(levels):
        value = s("x")
        for level in range(levels):
            value = {"M": {"m": value}} if level % 2 else {"L": [value]}
        return value

    b.put(k=s("a"), x=nested(32))
    assert b.note(b.get()["x"]) == nested(32)
    assert b.error(b.put, k=s("a"), x=nested(33))[1] == (
        "Nesting Levels have exceeded supported limits: Attributes may not exceed 32 levels")
    assert b.error(b.update, "SET x = :v", values={":v": nested(33)})[0] == "ValidationException"


@case
def refuses_requests_with_too_many_parts(b):
    b.create()
    keys = [{"k": s(str(i))} for i in range(101)]
    assert b.error(b.db.batch_get_item, RequestItems={b.table: {"Keys": keys}})[0] == "ValidationException"
    puts = [{"Put": {"TableName": b.table, "Item": key}} for key in keys]
    assert b.error(b.db.transact_write_items, TransactItems=puts)[0] == "ValidationException"
    long = " OR ".join(["k = :v"] * 500)
    assert "Expression size has exceeded the maximum allowed size" in b.error(
        b.db.scan, TableName=b.table, FilterExpression=long, ExpressionAttributeValues={":v": s("a")})[1]
    big = [{"Put": {"TableName": b.table, "Item": {"k": s(str(i)), "x": s("x" * 390_000)}}} for i in range(11)]
    assert b.error(b.db.transact_write_items, TransactItems=big)[0] == "ValidationException"
    assert b.db.scan(TableName=b.table)["Count"] == 0


@case
def changes_one_index_at_a_time(b):
    b.create()
    creations = [{"Create": {
        "IndexName": f"by-{name}", "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"}}} for name in ("x", "y")]
    types = [{"AttributeName": name, "AttributeType": "S"} for name in ("x", "y")]
    assert b.error(
        b.db.update_table, TableName=b.table, AttributeDefinitions=types,
        GlobalSecondaryIndexUpdates=creations)[0] == "LimitExceededException"
    assert "GlobalSecondaryIndexes" not in b.settled()


@case
def keeps_the_setting_of_time_to_live(b):
    b.create()

    def update(enabled, name="until"):
        return b.db.update_time_to_live(
            TableName=b.table, TimeToLiveSpecification={"Enabled": enabled, "AttributeName": name})

    assert b.note(update(True)["TimeToLiveSpecification"]) == {"Enabled": True, "AttributeName": "until"}
    told = b.db.describe_time_to_live(TableName=b.table)["TimeToLiveDescription"]
    assert told == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
    assert b.error(update, True)[1] == "TimeToLive is already enabled"
    assert b.error(update, False, "other")[0] == "ValidationException"
    update(False)
    assert b.error(update, False)[1] == "TimeToLive is already disabled"
    b.table += "-gone"
    assert b.error(update, True)[0] == "ResourceNotFoundException"


@case
def throttles_the_table_and_the_index_that_used_up_their_units(b):
    index = {
        "IndexName": "by-x", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"}}

    def create(table_writes, index_writes):
        b.table = "t-" + uuid.uuid4().hex[:12]
        b.create(
            BillingMode="PROVISIONED", types=[{"AttributeName": "x", "AttributeType": "S"}],
            ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": table_writes},
            GlobalSecondaryIndexes=[{**index, "ProvisionedThroughput": {
                "ReadCapacityUnits": 5, "WriteCapacityUnits": index_writes}}])

    def write(n):
        b.put(k=s("a"), x=s("x"), data=s(str(n) * 100_000))

    for table_writes, index_writes, where in ((1, 1000, "for the table"), (1000, 1, "secondary indexes")):
        create(table_writes, index_writes)
        # A new table has the units of five minutes saved: 300 of the one, 98 for each write.
        for n in range(4):
            write(n)
        code, message, _ = b.error(write, 5)
        assert code == "ProvisionedThroughputExceededException" and where in message, message
    assert b.get()["data"] == s("3" * 100_000)


@case
def tells_what_each_index_consumed(b):
    b.create(types=[{"AttributeName": "x", "AttributeType": "S"}], GlobalSecondaryIndexes=[
        {"IndexName": name, "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
         "Projection": {"ProjectionType": kind}} for name, kind in (("all", "ALL"), ("keys", "KEYS_ONLY"))])
    item = {"k": s("a"), "x": s("b"), "data": s("d" * 3000)}
    put = b.db.put_item(TableName=b.table, Item=item, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert b.note(put["CapacityUnits"]) == 7 and put["Table"]["CapacityUnits"] == 3
    assert {name: units["CapacityUnits"] for name, units in put["GlobalSecondaryIndexes"].items()} == {
        "all": 3, "keys": 1}
    total = b.db.put_item(TableName=b.table, Item={**item, "x": s("c")}, ReturnConsumedCapacity="TOTAL")
    # Leaving one place in an index and taking another is two writes.
    assert b.note(total["ConsumedCapacity"]) == {"TableName": b.table, "CapacityUnits": 3 + 6 + 2}
    query = b.db.query(
        TableName=b.table, IndexName="keys", KeyConditionExpression="x = :x", ReturnConsumedCapacity="INDEXES",
        ExpressionAttributeValues={":x": s("c")})
    assert b.note(query["Items"]) == [{"k": s("a"), "x": s("c")}]
    assert query["ConsumedCapacity"]["GlobalSecondaryIndexes"]["keys"]["CapacityUnits"] == 0.5
    transaction = b.db.transact_write_items(
        TransactItems=[{"Put": {"TableName": b.table, "Item": {"k": s("t")}}}], ReturnConsumedCapacity="TOTAL")
    assert b.note(transaction["ConsumedCapacity"][0]["CapacityUnits"]) == 2


# What the Java KCL sends (recorded)


@case
def the_java_kcl_lives_on_a_lease_table(b):
    b.create(DeletionProtectionEnabled=False)
    key = {"k": s("shardId-000000000000")}
    lease = {
        **key, "leaseCounter": n(0), "checkpoint": s("TRIM_HORIZON"), "checkpointSubSequenceNumber": n(0),
        "ownerSwitchesSinceCheckpoint": n(0), "startingHashKey": s("0"), "endingHashKey": s("1")}
    absent = {"k": {"Exists": False}}
    b.db.put_item(TableName=b.table, Item=lease, Expected=absent)
    assert b.error(b.db.put_item, TableName=b.table, Item=lease, Expected=absent)[0] == (
        "ConditionalCheckFailedException")

    def update(counter, **updates):
        return b.db.update_item(
            TableName=b.table, Key=key, Expected={"leaseCounter": {"Value": n(counter)}}, AttributeUpdates={
                "leaseCounter": {"Value": n(counter + 1), "Action": "PUT"}, **updates})

    update(0, leaseOwner={"Value": s("w1"), "Action": "PUT"})
    update(1, leaseOwner={"Value": s("w2"), "Action": "PUT"},
           ownerSwitchesSinceCheckpoint={"Value": n(1), "Action": "ADD"})
    assert b.error(update, 1)[0] == "ConditionalCheckFailedException"
    update(2, checkpoint={"Value": s("496"), "Action": "PUT"},
           ownerSwitchesSinceCheckpoint={"Value": n(0), "Action": "PUT"}, pendingCheckpoint={"Action": "DELETE"})
    b.db.update_item(
        TableName=b.table, Key=key, Expected={"k": {"Value": key["k"], "Exists": True}},
        AttributeUpdates={"childShardIds": {"Value": {"SS": ["c1", "c2"]}, "Action": "PUT"}})
    row = b.db.get_item(TableName=b.table, Key=key, ConsistentRead=False)["Item"]
    assert canonical(b.note(row)) == canonical({
        **lease, "leaseCounter": n(3), "leaseOwner": s("w2"), "checkpoint": s("496"),
        "childShardIds": {"SS": ["c2", "c1"]}})
    b.db.delete_item(TableName=b.table, Key=key)
    assert b.db.scan(TableName=b.table, Limit=1)["Items"] == []


def run(function, endpoint):
    bench = Bench(endpoint)
    try:
        function(bench)
        return None, bench.answers
    except (AssertionError, ClientError, KeyError, TypeError, IndexError) as error:
        return f"{type(error).__name__}: {str(error)[:300]}", bench.answers
    finally:
        bench.close()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    ours, reference = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None
    passed = failed = differing = 0
    for function in CASES:
        failure, answers = run(function, ours)
        if failure:
            failed += 1
            print(f"FAILED {function.__name__}: {failure}")
        else:
            passed += 1
        if reference:
            other_failure, other = run(function, reference)
            if other_failure or answers != other:
                differing += 1
                first = next(((a, o) for a, o in zip(answers, other) if a != o), (len(answers), len(other)))
                print(f"differs {function.__name__}: ours {first[0]!r}, reference {first[1]!r}; {other_failure or ''}")
    if reference:
        print(f"{differing} differ from the reference")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
