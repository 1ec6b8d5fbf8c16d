"""Accounts for Schemathesis. All requests use one account, but each deletion of an account uses a
new one, so that the data of the first account stays. $API is the URL of the service. A list of IDs is
cut so that it fits into a request.
"""

import json
import os
import time
import urllib.parse
import urllib.request

import schemathesis

API = os.environ["API"]
PASSWORD = "plum lantern 83 quay"
# Seconds until the account logs in again. Its token is valid for 30 minutes.
RENEWAL = 600


# A thousand of the longest IDs do not fit into a request head of 16 KiB.
MAX_IDS = 700


@schemathesis.hook
def before_call(context, case, kwargs):
    posts = (case.query or {}).get("posts")
    if isinstance(posts, str):
        case.query["posts"] = ",".join(posts.split(",")[:MAX_IDS])
    elif isinstance(posts, list):
        case.query["posts"] = posts[:MAX_IDS]


def send(path, data=None, **headers):
    request = urllib.request.Request(API + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@schemathesis.auth(refresh_interval=None)
class Account:
    def __init__(self):
        self.number = 0
        self.email = self.sign_up()
        self.log_in_again()

    def get(self, case, context):
        is_deletion = case.method.upper() == "DELETE" and case.path.startswith("/users")
        if is_deletion:
            return self.log_in(self.sign_up())
        if time.monotonic() > self.renewal:
            self.log_in_again()
        return self.token

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"

    def sign_up(self):
        self.number += 1
        email = f"account{self.number}.{os.getpid()}@example.com"
        account = json.dumps({"email": email, "password": PASSWORD}).encode()
        send("/users", account, **{"Content-Type": "application/json"})
        return email

    def log_in(self, email):
        form = urllib.parse.urlencode({"username": email, "password": PASSWORD}).encode()
        return send("/login", form)["access_token"]

    def log_in_again(self):
        self.token = self.log_in(self.email)
        self.renewal = time.monotonic() + RENEWAL
