import json
import os
import urllib.error
import urllib.request

request = urllib.request.Request(
    os.environ["SLUICE_URL"] + "/v1/files/file_unknown",
    headers={"Authorization": "Bearer " + os.environ["SLUICE_KEY"]},
)
try:
    with urllib.request.urlopen(request) as response:
        print(json.load(response))
except urllib.error.HTTPError as error:
    problem = json.load(error)
    if problem["code"] == "not_found":
        print("There is no such file.")
    elif problem["code"] in ("rate_limited", "unavailable"):
        print("Try again in", problem["retry_after"], "s.")
    else:
        raise
