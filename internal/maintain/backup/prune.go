package backup

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"sluice"
)

// maxNamed is about how many ids of files prune keeps in memory. It walks the target once for so many.
const maxNamed = 250_000

// prune removes all snapshots but the newest keep ones, and then the objects that no snapshot needs. It removes nothing
// unless it could read the lists of all snapshots that it keeps.
func (t *Target) prune(ctx context.Context, keep int) (removed []string, objects int64, err error) {
	names, err := t.Snapshots(ctx)
	if err != nil {
		return nil, 0, err
	}
	kept := names[max(0, len(names)-keep):]
	longest := int64(0)
	for _, name := range kept {
		n, err := t.readList(ctx, name, func(string) {})
		if err != nil {
			return nil, 0, err
		}
		longest = max(longest, n)
	}
	for _, name := range names[:len(names)-len(kept)] {
		if err := t.removeSnapshot(ctx, name); err != nil {
			return removed, 0, err
		}
		removed = append(removed, name)
	}
	p := pruning{target: t, kept: kept, seed: maphash.MakeSeed(), rounds: uint64(longest/maxNamed + 1)}
	for p.round = range p.rounds {
		if err := p.run(ctx); err != nil {
			return removed, p.objects, err
		}
	}
	return removed, p.objects, nil
}

// removeSnapshot removes a snapshot, or what there is of one. Without its manifest it is none any more. As long as that
// may be there, so are its parts.
func (t *Target) removeSnapshot(ctx context.Context, name string) error {
	return t.remove(ctx, append([]string{object(manifestPrefix, name)}, parts(name)...)...)
}

// removeDead removes some of the unfinished parts: those that were begun and written before a moment. A backup that was
// killed left them. Younger ones may be those of a copy of the installation that makes a backup now. What cannot be
// removed is left to the next backup.
func (t *Target) removeDead(ctx context.Context, unfinished []part, before time.Time) {
	for _, p := range unfinished {
		if begun := NameTime(p.snapshot); begun.IsZero() || !begun.Before(before) || !p.written.Before(before) {
			continue
		}
		_, err := t.depot.Size(ctx, object(manifestPrefix, p.snapshot)) // Walk may leave out what came meanwhile
		if sluice.CodeOf(err) == sluice.CodeNotFound {
			_ = t.remove(ctx, p.key)
		}
	}
}

// readList reads the list of a snapshot, and checks that it is whole.
func (t *Target) readList(ctx context.Context, snapshot string, each func(id string)) (n int64, err error) {
	list, err := t.openList(ctx, snapshot)
	if err != nil {
		return 0, err
	}
	defer list.close()
	err = list.all(func(f fileLine) { each(f.ID) })
	return list.files, err
}

// pruning removes objects in rounds, each of which looks at a part of them.
type pruning struct {
	target  *Target
	kept    []string
	seed    maphash.Seed
	rounds  uint64
	round   uint64
	objects int64
}

// mine reports whether an object belongs to this round.
func (p *pruning) mine(key string) bool { return maphash.String(p.seed, key)%p.rounds == p.round }

func (p *pruning) run(ctx context.Context) error {
	named := map[string]bool{}
	for _, name := range p.kept {
		_, err := p.target.readList(ctx, name, func(id string) {
			if p.mine(id) {
				named[id] = true
			}
		})
		if err != nil {
			return err
		}
	}
	return p.target.depot.Walk(ctx, func(key string, _ time.Time) error {
		if !p.mine(key) || !p.unneeded(key, named) {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p.objects++
		if err := p.target.remove(ctx, key); err != nil {
			return fmt.Errorf("remove %s: %w", key, err)
		}
		return nil
	})
}

// unneeded reports whether an object is of a kind that backups write, and no snapshot needs it.
func (p *pruning) unneeded(key string, named map[string]bool) bool {
	prefix, name, _ := strings.Cut(key, "_")
	switch {
	case prefix+"_" == sluice.PrefixFile:
		return !named[key]
	case slices.Contains(partPrefixes, prefix):
		return !slices.Contains(p.kept, name)
	}
	return false
}
