"""Who asks, for Schemathesis: an account, and another one when the one before was deleted by what it
asked for. The service is told in $API.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request

import schemathesis

API = os.environ["API"]
PASSWORD = "plum lantern 83 quay"


def send(path, data=None, **headers):
    request = urllib.request.Request(API + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@schemathesis.auth(refresh_interval=None)
class Account:
    def __init__(self):
        self.number = 0
        self.token = None

    def get(self, case, context):
        if not self.is_there():
            self.token = self.sign_up()
        return self.token

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"

    def is_there(self):
        if self.token is None:
            return False
        try:
            send("/users/me", Authorization=f"Bearer {self.token}")
            return True
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            return False

    def sign_up(self):
        self.number += 1
        email = f"account{self.number}.{os.getpid()}@example.com"
        account = json.dumps({"email": email, "password": PASSWORD}).encode()
        send("/users", account, **{"Content-Type": "application/json"})
        form = urllib.parse.urlencode({"username": email, "password": PASSWORD}).encode()
        return send("/login", form)["access_token"]
