package native

import (
	"context"
	"io"
	"net/http"

	"sluice"
	"sluice/api"
	"sluice/ledger"
)

func (s *face) getCheckpoint(ctx context.Context, c *call, _ *struct{}) (bytesOut, error) {
	newest, err := s.svc.Ledgers.NewestCheckpoint(ctx, c.Caller)
	return document(plainText, newest.Note), err
}

// getTile answers with a tile. A full tile never changes, so the client may cache it; shared caches may not.
func (s *face) getTile(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	err := refuseQuery(r.URL)
	var t ledger.Tile
	if err == nil {
		if t, err = ledger.ParseTilePath("tile/" + r.PathValue("tile")); err != nil {
			err = sluice.Errorf(sluice.CodeNotFound, "there is no tile at this path")
		}
	}
	var data []byte
	if err == nil {
		data, err = s.svc.Ledgers.Tile(r.Context(), c.Caller, t)
	}
	if err != nil {
		c.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if t.Width == ledger.TileWidth {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	_, _ = w.Write(data)
}

func (s *face) getLedgerKey(ctx context.Context, c *call, _ *struct{}) (bytesOut, error) {
	verifier, _, err := s.svc.Ledgers.Key(ctx, c.Caller)
	return document(plainText, []byte(verifier+"\n")), err
}

func (s *face) listRotations(ctx context.Context, c *call, _ *struct{}) (*body[api.List[api.LedgerRotation]], error) {
	_, rotations, err := s.svc.Ledgers.Key(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	list := api.List[api.LedgerRotation]{Object: "list", Data: []api.LedgerRotation{}, URL: c.URL.EscapedPath()}
	for _, r := range rotations {
		list.Data = append(list.Data, api.LedgerRotation{
			Object: "ledger_rotation", Seq: r.Seq, Key: r.Verifier, Proof: string(r.Proof), Created: r.Created.Unix(),
		})
	}
	return &body[api.List[api.LedgerRotation]]{list}, nil
}

func (s *face) proveEntry(ctx context.Context, c *call, in *struct {
	Entry string `query:"entry" required:"true" doc:"Id of an audit entry"`
}) (bytesOut, error) {
	proof, err := s.svc.Ledgers.ProveEntry(ctx, c.Caller, in.Entry)
	if err != nil {
		return nil, err
	}
	return document(plainText, proof.Format()), nil
}

func (s *face) proveConsistency(ctx context.Context, c *call, in *struct {
	From int64 `query:"from" required:"true" minimum:"0" doc:"Number of entries that are known"`
	To   int64 `query:"to" minimum:"1" doc:"Size of a checkpoint; the newest when left out"`
}) (bytesOut, error) {
	to := in.To
	if to == 0 {
		to = -1
	}
	proof, err := s.svc.Ledgers.ProveConsistency(ctx, c.Caller, in.From, to)
	if err != nil {
		return nil, err
	}
	return document(plainText, proof.Format()), nil
}

func (s *face) exportDisclosures(ctx context.Context, c *call, in *struct {
	Size int64 `query:"size" minimum:"1" doc:"Size of the checkpoint they shall belong to; the newest when left out"`
}) (bytesOut, error) {
	newest, err := s.svc.Ledgers.NewestCheckpoint(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	size := newest.Size
	if in.Size > size {
		var v sluice.Invalid
		v.Add("size", "out_of_range", "size must be at most %d, the size of the newest checkpoint", size)
		return nil, v.Err()
	}
	if in.Size > 0 {
		size = in.Size
	}
	disclosures, err := s.svc.Entries.ExportDisclosures(ctx, c.Caller, size)
	if err != nil {
		return nil, err
	}
	return streamed(ndjson, func(w io.Writer) error {
		var line []byte
		for d, err := range disclosures {
			if err == nil {
				line, err = ledger.AppendDisclosure(line[:0], d)
			}
			if err == nil {
				_, err = w.Write(append(line, '\n'))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}), nil
}
