"""A handler for the action in action.json: create an S3 bucket and its entity, and report the run.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… flask --app s3_handler run
boto3 finds the credentials of AWS as usual. AWS_ENDPOINT_URL_S3 names another S3, such as a local one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from flask import Flask, abort, request

TOLERANCE_S = 300
REMEMBERED_RUNS = 1000
AWS_TIMEOUTS = Config(connect_timeout=5, read_timeout=30)
NAME_RULE = "A name has 3 to 63 lowercase letters, digits and hyphens, and starts and ends with a letter or digit."

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_048_576  # bytes
deliveries: OrderedDict[str, None] = OrderedDict()
deliveries_lock = threading.Lock()


@dataclass(frozen=True)
class Bucket:
    """The inputs, as the body template of the action passes them on."""

    name: str
    region: str
    versioning: bool

    @property
    def console_url(self) -> str:
        """The bucket's page in the AWS console."""
        return f"https://{self.region}.console.aws.amazon.com/s3/buckets/{self.name}"


class BucketRefused(Exception):
    """S3 cannot create a bucket with this name. The message is for the user of the action."""


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret`, at most five minutes from `now`."""
    if not secret or not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode())


def is_first_delivery(run_id: str) -> bool:
    """Return whether this run is new, and remember it: a run can be delivered twice, but its work is done once.

    This is the memory of one process. A real handler inserts the run id into a database, under a unique key, which
    holds after a restart and for several processes.
    """
    with deliveries_lock:
        is_new = run_id not in deliveries
        deliveries[run_id] = None
        if len(deliveries) > REMEMBERED_RUNS:
            deliveries.popitem(last=False)
        return is_new


@app.post("/port/create-s3-bucket")
def accept() -> tuple[dict[str, str], int]:
    """Verify and accept an invocation. A thread does the work, because Port does not wait for a slow response."""
    body = request.get_data()  # and not request.json, because the signature covers the raw bytes
    fields = request.headers.get("x-port-signature", ""), request.headers.get("x-port-timestamp", "")
    if not is_signed_by_port(body, *fields, os.environ.get("PORT_CLIENT_SECRET", ""), time.time()):
        abort(401)
    try:
        invocation = json.loads(body)
    except (ValueError, RecursionError):
        invocation = None
    match invocation:
        case {"runId": str(run_id), "bucket": dict(inputs)}:
            if is_first_delivery(run_id):
                threading.Thread(target=work, args=(run_id, inputs)).start()
            return {"accepted": run_id}, 202
        case _:
            return {"error": "The body does not match the template in action.json."}, 422


def work(run_id: str, inputs: dict[str, Any]) -> None:
    """Create the bucket and its entity, and end the run, whatever happens."""
    run = PortRun(run_id)
    try:
        bucket = Bucket(**inputs)
        run.log(f"Creating the bucket {bucket.name} in {bucket.region}.")
        arn = create(bucket)
        run.log(f"Created {arn}.")
        run.upsert_entity("s3_bucket", entity_of(bucket, arn))
    except BucketRefused as error:
        run.end("FAILURE", str(error))
    except Exception as error:  # without a report, the run would stay in progress
        app.logger.exception("Run %s failed.", run_id)
        run.end("FAILURE", f"The bucket {inputs.get('name')} is not ready. {error}")
    else:
        run.end("SUCCESS", f"The bucket {bucket.name} is ready.", bucket.console_url)


def create(bucket: Bucket) -> str:
    """Create a bucket and return its ARN; raises BucketRefused, and errors of botocore."""
    # A session of its own, because threads must not share one.
    s3 = boto3.session.Session().client("s3", region_name=bucket.region, config=AWS_TIMEOUTS)
    taken = f"The name {bucket.name} is taken: it must be unique in all of AWS. Choose another name."
    # S3 rejects this value for us-east-1, its default.
    place = {"CreateBucketConfiguration": {"LocationConstraint": bucket.region}} if bucket.region != "us-east-1" else {}
    try:
        if is_accessible(s3, bucket.name):
            raise BucketRefused(taken)
        s3.create_bucket(Bucket=bucket.name, **place)
    except (s3.exceptions.BucketAlreadyExists, s3.exceptions.BucketAlreadyOwnedByYou):
        raise BucketRefused(taken) from None
    except ParamValidationError:
        raise BucketRefused(f"The name {bucket.name} is not valid. {NAME_RULE}") from None
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidBucketName":
            raise
        raise BucketRefused(f"The name {bucket.name} is not valid. {NAME_RULE}") from None
    if bucket.versioning:
        s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    return f"arn:aws:s3:::{bucket.name}"


def is_accessible(s3: Any, name: str) -> bool:
    """Return whether a bucket exists that these credentials may use.

    In us-east-1, S3 does not refuse to create such a bucket again: it responds 200 and resets its access control list.
    """
    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        return False
    return True


def entity_of(bucket: Bucket, arn: str) -> dict[str, Any]:
    """Return the bucket as an entity of the blueprint in blueprint.json."""
    properties = {
        "region": bucket.region,
        "versioning": bucket.versioning,
        "arn": arn,
        "console": bucket.console_url,
    }
    return {"identifier": bucket.name, "title": bucket.name, "properties": properties, "relations": {}}


class PortRun:
    """A run in Port: its log, its entities, its end. Each method raises RuntimeError if Port refuses the call."""

    def __init__(self, run_id: str) -> None:
        self._run = f"/actions/runs/{run_id}"
        self._run_id = run_id
        self._token = ""
        credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
        self._token = self._call("POST", "/auth/access_token", credentials)["accessToken"]

    def log(self, message: str) -> None:
        """Add a line to the log."""
        self._call("POST", f"{self._run}/logs", {"message": message})

    def upsert_entity(self, blueprint: str, entity: dict[str, Any]) -> None:
        """Create or overwrite an entity, as a result of this run."""
        self._call("POST", f"/blueprints/{blueprint}/entities?upsert=true&run_id={self._run_id}", entity)

    def end(self, status: str, summary: str, link: str = "") -> None:
        """End the run with SUCCESS or FAILURE."""
        report = {"status": status, "summary": summary}
        self._call("PATCH", self._run, {**report, "link": link} if link else report)

    def _call(self, method: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
        api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        call = urllib.request.Request(f"{api_url}/v1{path}", json.dumps(document).encode(), headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(call, timeout=30) as response:  # noqa: S310 - the URL is the operator's
                result: dict[str, Any] = json.load(response)
                return result
        except urllib.error.HTTPError as error:
            reason = error.read(1000).decode("utf-8", "replace")
            raise RuntimeError(f"Port responded with {error.code} to {method} {path}: {reason}") from None
