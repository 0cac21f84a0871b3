package main

import (
	"fmt"
	"io"

	"sluice"
)

// welcome prints the first key, once, and lines to paste that upload, mint,
// download, and read the log. The lines need a POSIX shell, curl and sed.
func welcome(w io.Writer, url string, first *sluice.First) {
	fmt.Fprintf(w, `Welcome to Sluice at %[1]s

Below is your first test key. It is shown once; only its hash is stored. Paste
these lines into another terminal. To share a file of your own, write
file=@report.pdf in the place of file=Hello;filename=hello.txt.

  KEY=%[2]s
  # upload a file
  FILE=$(curl -sS %[1]s/v1/files -H "Authorization: Bearer $KEY" -F purpose=attachment -F 'file=Hello;filename=hello.txt' | sed 's/.*"id":"\(file_[0-9a-z]*\)".*/\1/'); echo "$FILE"
  # mint a link to it, and say why
  URL=$(curl -sS %[1]s/v1/files/$FILE/links -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"expires_in_seconds":3600,"metadata":{"case":"first light"}}' | sed 's/.*"url":"\([^"]*\)".*/\1/'); echo "$URL"
  # download it, without a key
  curl -sS -OJ "$URL" -w 'saved %%{filename_effective}\n'
  # and see who minted the link, why, and each time it was opened
  curl -sS %[1]s/v1/audit_entries -H "Authorization: Bearer $KEY"

`, url, first.Secret)
}
