"""AWS requests as nobody's SDK would send them: any input, JSON or CBOR, signed by botocore, answers held to the model.

CBOR is written as the Java SDK writes it, with maps of indefinite length; reading is strict where that SDK is: a
timestamp must be an integer of milliseconds.
"""

import base64
import gzip
import http.client
import json
import pathlib
import struct
import urllib.parse

import botocore
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer

REGION = "us-east-1"
SERVICES = {
    "kinesis": ("2013-12-02", "Kinesis_20131202", "application/x-amz-json-1.1", "application/x-amz-cbor-1.1"),
    "dynamodb": ("2012-08-10", "DynamoDB_20120810", "application/x-amz-json-1.0", "application/x-amz-cbor-1.0"),
}


def model(service):
    """The service's model as botocore carries it."""
    path = pathlib.Path(botocore.__file__).parent / "data" / service / SERVICES[service][0] / "service-2.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


class Tagged:
    """A CBOR item under a tag."""

    def __init__(self, tag, value):
        self.tag, self.value = tag, value

    def __eq__(self, other):
        return isinstance(other, Tagged) and (self.tag, self.value) == (other.tag, other.value)


class Timestamp(float):
    """Seconds; written as CBOR's tag 1 over milliseconds' value, or as a JSON number."""


def head(major, number):
    for limit, code, form in ((24, None, None), (1 << 8, 24, ">B"), (1 << 16, 25, ">H"), (1 << 32, 26, ">I")):
        if number < limit:
            return bytes([major << 5 | (number if code is None else code)]) + (
                b"" if form is None else struct.pack(form, number))
    return bytes([major << 5 | 27]) + struct.pack(">Q", number)


def cbor(value, definite=False):
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, Timestamp):
        return head(6, 1) + cbor(round(value * 1000))
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, (bytes, bytearray)):
        return head(2, len(value)) + bytes(value)
    if isinstance(value, str):
        data = value.encode()
        return head(3, len(data)) + data
    if isinstance(value, (list, tuple)):
        body = b"".join(cbor(item, definite) for item in value)
        return head(4, len(value)) + body if definite else b"\x9f" + body + b"\xff"
    body = b"".join(cbor(key, definite) + cbor(item, definite) for key, item in value.items())
    return head(5, len(value)) + body if definite else b"\xbf" + body + b"\xff"


class Reader:
    """A whole CBOR item; anything odd is a ValueError."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("CBOR ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def item(self):
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if major == 7:
            simple = {20: False, 21: True, 22: None, 23: None}
            if low in simple:
                return simple[low]
            forms = {25: ">e", 26: ">f", 27: ">d"}
            if low in forms:
                return struct.unpack(forms[low], self.take(struct.calcsize(forms[low])))[0]
            raise ValueError(f"simple value {low}")
        if low == 31:
            return self.open_ended(major)
        if low > 27:
            raise ValueError(f"additional information {low}")
        number = low if low < 24 else int.from_bytes(self.take(1 << (low - 24)), "big")
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major == 2:
            return bytes(self.take(number))
        if major == 3:
            return self.take(number).decode()
        if major == 4:
            return [self.item() for _ in range(number)]
        if major == 5:
            return self.pairs((self.item(), self.item()) for _ in range(number))
        return Tagged(number, self.item())

    def pairs(self, items):
        found = {}
        for key, value in items:
            if key in found:
                raise ValueError(f"{key} twice")
            found[key] = value
        return found

    def open_ended(self, major):
        items = []
        while self.data[self.at:self.at + 1] != b"\xff":
            items.append(self.item())
        self.take(1)
        if major == 4:
            return items
        if major == 5 and len(items) % 2 == 0:
            return self.pairs(zip(items[::2], items[1::2]))
        if major in (2, 3) and items:
            return type(items[0])().join(items)
        raise ValueError(f"major type {major} of indefinite length")


def read_cbor(data):
    reader = Reader(data)
    value = reader.item()
    if reader.at != len(data):
        raise ValueError("something after the CBOR item")
    return value


def plain(value):
    """As JSON carries it: blobs in base64."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, Timestamp):
        return float(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Answer:
    def __init__(self, status, headers, body, raw):
        self.status, self.headers, self.body, self.raw = status, headers, body, raw

    @property
    def error(self):
        """The type of the error, as SDKs read it; None where there is none."""
        if self.status == 200:
            return None
        named = (self.body or {}).get("__type") if isinstance(self.body, dict) else None
        return str(named or self.headers.get("x-amzn-errortype", "")).split("#")[-1].split(":")[0]

    @property
    def message(self):
        body = self.body if isinstance(self.body, dict) else {}
        return body.get("message", body.get("Message", ""))

    def __repr__(self):
        return f"{self.status} {self.error or ''} {str(self.message or self.body)[:300]}"


class Raw:
    """One connection to one service."""

    def __init__(self, endpoint, service="kinesis", encoding="json", definite=False):
        self.url = urllib.parse.urlsplit(endpoint)
        self.service, self.encoding, self.definite = service, encoding, definite
        _, self.target, *types = SERVICES[service]
        self.type = types[encoding == "cbor"]
        self.connection = None
        self.signer = SigV4Auth(Credentials("referee", "secret"), service, REGION)

    def connect(self):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)
        return self.connection

    def body(self, value):
        if isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if self.encoding == "cbor":
            return cbor(value, self.definite)
        return json.dumps(plain(value)).encode()

    def open(self, operation, value, **headers):
        """Sends; the answer's head is there, its body is the caller's. Members of `headers` that are None go."""
        data = self.body(value)
        names = {"Content-Type": self.type, "X-Amz-Target": f"{self.target}.{operation}"}
        names.update({name.replace("_", "-"): value for name, value in headers.items()})
        request = AWSRequest(
            "POST", f"http://{self.url.netloc}/", {k: v for k, v in names.items() if v is not None}, data)
        self.signer.add_auth(request)
        for attempt in (0, 1):
            connection = self.connect()
            try:
                connection.request("POST", "/", data, dict(request.headers.items()))
                return connection.getresponse()
            except (ConnectionError, http.client.HTTPException):
                self.close()
                if attempt:
                    raise

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def send(self, operation, value, **headers):
        """Sends and reads everything. The answer must come in the request's encoding."""
        response = self.open(operation, value, **headers)
        data = response.read()
        if response.will_close:
            self.close()
        return self.answer(response, data)

    def answer(self, response, data):
        names = {name.lower(): value for name, value in response.getheaders()}
        if not data:
            body = None
        elif "cbor" in names.get("content-type", ""):
            body = read_cbor(data)
        else:
            try:
                body = json.loads(data)
            except ValueError:
                body = None
        return Answer(response.status, names, body, data)

    def events(self, operation, value):
        """The answer's head, and a generator of the event stream's (headers, payload); closing it ends the stream."""
        response = self.open(operation, value)
        if response.status != 200:
            return self.answer(response, response.read()), None
        return self.answer(response, b""), self.pulled(response)

    def pulled(self, response):
        buffer = EventStreamBuffer()
        try:
            while data := response.read1(65536):
                buffer.add_data(data)
                for event in buffer:
                    yield event.headers, event.payload
        finally:
            self.close()


def misfits(model, shape, value, encoding, path="answer"):
    """What in `value` is not as the model's shape says, in words."""
    told = model["shapes"][shape]
    kind = told["type"]
    if kind == "structure":
        if not isinstance(value, dict):
            return [f"{path} is no structure: {value!r:.80}"]
        found = [f"{path}.{name} is missing" for name in told.get("required", []) if name not in value]
        found += [f"{path}.{name} is unknown to the model" for name in value if name not in told["members"]]
        for name, member in told["members"].items():
            if name in value:
                found += misfits(model, member["shape"], value[name], encoding, f"{path}.{name}")
        return found
    if kind == "list":
        if not isinstance(value, list):
            return [f"{path} is no list: {value!r:.80}"]
        return [m for i, v in enumerate(value)
                for m in misfits(model, told["member"]["shape"], v, encoding, f"{path}[{i}]")]
    if kind == "map":
        if not isinstance(value, dict):
            return [f"{path} is no map: {value!r:.80}"]
        return [m for k, v in value.items() for m in misfits(model, told["value"]["shape"], v, encoding, f"{path}.{k}")]
    if kind == "timestamp" and encoding == "cbor":
        value = value.value if isinstance(value, Tagged) and value.tag == 1 else value
        fits = isinstance(value, int) and 1e12 < value < 1e13
    elif kind == "timestamp":
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 1e9 < value < 1e10
    elif kind == "blob":
        fits = isinstance(value, bytes if encoding == "cbor" else str)
    elif kind in ("integer", "long"):
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif kind in ("double", "float"):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif kind == "boolean":
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, str) and ("enum" not in told or value in told["enum"])
    return [] if fits else [f"{path} is no {kind}: {value!r:.80}"]
