import json
import os
import urllib.request

URL, KEY = os.environ["SLUICE_URL"], os.environ["SLUICE_KEY"]


def call(method, path, data=None, media="application/json"):
    headers = {"Authorization": "Bearer " + KEY, "Content-Type": media}
    request = urllib.request.Request(URL + path, method=method, headers=headers, data=data)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


# Upload a file, and keep its id.
with open("report-2026-q3.txt", "rb") as content:
    file = call("POST", "/v1/files?purpose=report&filename=report-2026-q3.txt", content, "text/plain")

# Share it for an hour, and say why.
body = {"expires_in_seconds": 3600, "reason": "quarterly report for the bank"}
link = call("POST", "/v1/files/" + file["id"] + "/links", json.dumps(body).encode())

# Whoever has the link can download the file.
urllib.request.urlretrieve(link["url"], "copy.txt")

# The log tells what was done, and why.
for entry in call("GET", "/v1/audit_entries?file_id=" + file["id"])["data"]:
    print(entry["time"], entry["action"], entry["actor"]["type"])
