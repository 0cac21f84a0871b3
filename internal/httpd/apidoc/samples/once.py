import json
import os
import time
import urllib.error
import urllib.request
import uuid

# Choose the key before the first attempt, and keep it for all others.
request = urllib.request.Request(
    os.environ["SLUICE_URL"] + "/v1/keys",
    method="POST",
    headers={
        "Authorization": "Bearer " + os.environ["SLUICE_KEY"],
        "Idempotency-Key": str(uuid.uuid4()),
        "Content-Type": "application/json",
    },
    data=json.dumps({"name": "billing", "scopes": ["links:write"]}).encode(),
)
for pause in 1, 2, 4:
    try:
        with urllib.request.urlopen(request) as response:
            print(json.load(response)["id"])
        break
    except urllib.error.HTTPError as error:
        if error.code < 500:
            raise
    except urllib.error.URLError:
        pass  # the connection failed: the request may or may not have arrived
    time.sleep(pause)
