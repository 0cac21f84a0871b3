import json
import os
import urllib.parse
import urllib.request

query = {"limit": 100}
while True:
    request = urllib.request.Request(
        os.environ["SLUICE_URL"] + "/v1/files?" + urllib.parse.urlencode(query),
        headers={"Authorization": "Bearer " + os.environ["SLUICE_KEY"]},
    )
    with urllib.request.urlopen(request) as response:
        page = json.load(response)
    for file in page["data"]:
        print(file["id"])
    if not page["has_more"]:
        break
    query["starting_after"] = page["next_cursor"]
