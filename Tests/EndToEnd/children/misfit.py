"""A child that speaks the protocol by itself, and badly. Its first argument says how; see MISFITS.

It logs to CHILD_LOG as the apps do. Without anything special it answers every message with its status, and stores what
it got with a checkpoint after each batch, at the end of the shard and when a shutdown is requested.
"""
import base64
import json
import os
import signal
import subprocess
import sys
import time

LOG = os.environ["CHILD_LOG"]
shard = None


def log(call, **members):
    line = json.dumps({"pid": os.getpid(), "shard": shard, "call": call, **members}) + "\n"
    with open(LOG, "ab", buffering=0) as file:
        file.write(line.encode())


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(message):
    write(json.dumps(message) + "\n")


def status(action):
    say({"action": "status", "responseFor": action})


def checkpoint(number=None, sub=None):
    """The reply's error."""
    say({"action": "checkpoint", "sequenceNumber": number, "subSequenceNumber": sub})
    reply = json.loads(sys.stdin.readline())
    log("checkpoint", number=number, sub=sub, error=reply["error"], reply=reply)
    return reply["error"]


def is_first(name):
    try:
        os.close(os.open(f"{LOG}.{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        return True
    except FileExistsError:
        return False


def for_ever():
    while True:
        time.sleep(60)


# What each misfit does with a message; None where the message is answered properly afterwards.


def exits(message):
    os._exit(3)


def exits_once(message):
    if message["action"] == "processRecords" and is_first("exits_once"):
        time.sleep(float(sys.argv[2]) if sys.argv[2:] else 0)
        os._exit(3)


def killed_once(message):
    if message["action"] == "processRecords" and is_first("killed_once"):
        os.kill(os.getpid(), signal.SIGKILL)


def closes_stdout(message):
    if message["action"] == "processRecords" and is_first("closes_stdout"):
        os.close(1)
        for_ever()


def closes_stdin(message):
    if message["action"] == "processRecords" and is_first("closes_stdin"):
        status("processRecords")
        os.close(0)
        for_ever()


def wrong_answer(message):
    if message["action"] == "processRecords" and is_first("wrong_answer"):
        status("initialize")
        for_ever()


def rubbish(message):
    if message["action"] == "processRecords" and is_first("rubbish"):
        while True:
            write('{"action": "status", "responseFor":\n]]]\n\x00\x01\n')
            time.sleep(0.02)


def noise(message):
    """Lines that are no messages, before and after each answer; kclpy's own habit of an empty line too."""
    write('\n\nhello\n{"action":"status","responseFor":"processRecords","mood":"fine"}\n[1,2]\n"status"\n{}\nnull\n')
    write('{"action":"dance"}\n' + "x" * 100_000 + "\n\x1b[31m\n")
    # No UTF-8.
    os.write(1, b'{"action":"\xff\xfe"}\n\xc3\n')


def pieces(message):
    """Each answer letter by letter."""
    if message["action"] == "processRecords":
        checkpoint()
    for letter in json.dumps({"action": "status", "responseFor": message["action"]}) + "\n":
        write(letter)
        time.sleep(0.002)
    return True


def silent(message):
    if message["action"] == "processRecords" and is_first("silent"):
        for_ever()


def deaf(message):
    """Does not read on, while more comes than a pipe holds."""
    if message["action"] == "initialize" and is_first("deaf"):
        status("initialize")
        for_ever()


def loud(message):
    """Writes much more than pipes hold to both outputs before it answers."""
    if message["action"] == "processRecords":
        for _ in range(200):
            write("y" * 20_000 + "\n")
            sys.stderr.write("z" * 2_000 + "\n")


def endless(message):
    """Lines of many megabytes on both outputs."""
    if message["action"] == "processRecords":
        for _ in range(32):
            os.write(1, b"y" * (1 << 20))
            os.write(2, b"z" * (1 << 20))
        os.write(1, b"\n")
        os.write(2, b"\n")


def sleepy(message):
    if message["action"] == "processRecords":
        time.sleep(float(sys.argv[2]))


def stubborn(message):
    """Answers nothing after initialize, and takes no signal that can be declined."""
    if message["action"] == "processRecords":
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(name, signal.SIG_IGN)
        log("stubborn")
        for_ever()


def fertile(message):
    """Leaves a process behind that has its outputs open."""
    if message["action"] == "initialize":
        log("grandchild", grandchild=subprocess.Popen(["sleep", "300"]).pid)


def out_of_range(message):
    """Checkpoints where it may not: beyond, behind, and no numbers at all."""
    if message["action"] == "initialize":
        checkpoint()
    if message["action"] == "processRecords":
        numbers = [r["sequenceNumber"] for r in message["records"]]
        checkpoint(str(int(numbers[-1]) + 1))
        checkpoint(numbers[-1], 7)
        checkpoint(numbers[-1], -1)
        checkpoint("TRIM_HORIZON")
        checkpoint("SHARD_END")
        checkpoint("twelve")
        checkpoint("")
        checkpoint(numbers[-1], 0)
        checkpoint(numbers[-1])
        if len(numbers) > 1:
            checkpoint(numbers[0])
        status("processRecords")
        return True


def mourner(message):
    """Checkpoints when its lease is lost."""
    if message["action"] == "leaseLost":
        checkpoint()
        status("leaseLost")
        log("mourned")
        return True


MISFITS = {f.__name__: f for f in (
    exits, exits_once, killed_once, closes_stdout, closes_stdin, wrong_answer, rubbish, noise, pieces, silent, deaf,
    loud, endless, sleepy, stubborn, fertile, out_of_range, mourner)}


def main():
    global shard
    misfit = MISFITS[sys.argv[1]]
    if misfit is exits and sys.argv[2:] == ["early"]:
        log("start")
        os._exit(3)
    for line in iter(sys.stdin.readline, ""):
        message = json.loads(line)
        action = message["action"]
        shard = message.get("shardId", shard)
        if action == "initialize":
            log("initialize", number=message["sequenceNumber"], sub=message["subSequenceNumber"])
        elif action != "processRecords":
            log(action)
        for record in message.get("records", []):
            size = len(base64.b64decode(record["data"], validate=True))
            shown = {"data": record["data"]} if size < 4096 else {}
            log("record", key=record["partitionKey"], number=record["sequenceNumber"], size=size,
                sub=record["subSequenceNumber"], **shown)
        if misfit(message):
            continue
        if action in ("processRecords", "shardEnded", "shutdownRequested"):
            checkpoint()
        status(action)
    log("end")


main()
