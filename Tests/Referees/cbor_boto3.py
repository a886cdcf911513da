"""boto3 that speaks Kinesis' CBOR 1.1, with botocore's own CBOR code: `install()` before the client is made.

botocore has CBOR for another protocol (rpc-v2), and only JSON for Kinesis. Targets, content types and the
milliseconds of timestamps are put in here; reading and writing of CBOR is botocore's.
"""

import datetime

from botocore import parsers, serialize
from botocore.utils import parse_timestamp

KIND = "application/x-amz-cbor-1.1"


class Serializer(serialize.JSONSerializer):
    """Requests in CBOR, but for subscriptions, which stay JSON as with the Java SDK."""

    def serialize_to_request(self, parameters, operation_model):
        serialized = super().serialize_to_request(parameters, operation_model)
        if operation_model.has_event_stream_output:
            return serialized
        body = bytearray()
        writer = Writer()
        if operation_model.input_shape is None:
            body += b"\xa0"
        else:
            writer._serialize_data_item(body, parameters, operation_model.input_shape)
        serialized["body"] = bytes(body)
        serialized["headers"]["Content-Type"] = KIND
        return serialized


class Writer(serialize.CBORSerializer):
    def _serialize_type_timestamp(self, serialized, value, shape, key):
        moment = value if isinstance(value, datetime.datetime) else parse_timestamp(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        serialized.extend(self._get_initial_byte(self.TAG_MAJOR_TYPE, 1))
        self._serialize_type_integer(serialized, round(moment.timestamp() * 1000), None, None)


class Reader(parsers.BaseCBORParser):
    def _parse_datetime(self, value):
        if not isinstance(value, int):
            raise parsers.ResponseParserError(f"a timestamp that is no integer: {value!r}")
        return datetime.datetime.fromtimestamp(value / 1000, datetime.timezone.utc)


class Parser(parsers.JSONParser):
    """Answers in CBOR; what comes in JSON (subscriptions, and answers of whoever has no CBOR) is read as ever."""

    def _parse_body_as_json(self, body_contents):
        if body_contents[:1] in (b"", b"{"):
            return super()._parse_body_as_json(body_contents)
        reader = Reader()
        stream = reader.get_peekable_stream_from_bytes(body_contents)
        value = reader.parse_data_item(stream)
        if stream.read(1):
            raise parsers.ResponseParserError("something after the CBOR item")
        return value

    def _handle_blob(self, shape, value):
        return value if isinstance(value, bytes) else super()._handle_blob(shape, value)

    def _handle_timestamp(self, shape, value):
        if isinstance(value, int) and value > 1e11:  # milliseconds without a tag
            return datetime.datetime.fromtimestamp(value / 1000, datetime.timezone.utc)
        return value if isinstance(value, datetime.datetime) else super()._handle_timestamp(shape, value)


def install():
    """For every client of the `json` protocol that is made from now on."""
    serialize.SERIALIZERS["json"] = Serializer
    parsers.PROTOCOL_PARSERS["json"] = Parser
