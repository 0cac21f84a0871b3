const body = JSON.stringify({
  "expires_in_seconds": 3600,
  "metadata": {}
})

fetch("https://api.mattermode.com/v1/files/{id}/links", {
  method: "POST",
  headers: {
    "Content-Type": "application/json"
  },
  body
})
