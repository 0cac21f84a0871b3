package sqldb

import (
	"testing"
	"testing/fstest"
)

// What Migrate does not understand it must not run: the statements after "Down" drop tables.
func TestMigrationAnnotations(t *testing.T) {
	for name, text := range map[string]string{
		"none":           "CREATE TABLE t (a TEXT);\n",
		"down":           "-- +goose Up\nCREATE TABLE t (a TEXT);\n-- +goose Down\nDROP TABLE t;\n",
		"no transaction": "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE t (a TEXT);\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := migrations(fstest.MapFS{"00001_first.sql": {Data: []byte(text)}}); err == nil {
				t.Error("the migration is accepted")
			}
		})
	}
	files := fstest.MapFS{
		"00001_first.sql": {Data: []byte("-- The first.\n-- +goose Up\nCREATE TABLE t (a TEXT);\n")},
		"00012_third.sql": {Data: []byte("-- +goose Up\nCREATE TABLE u (a TEXT);\n")},
	}
	all, err := migrations(files)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Version != 1 || all[1].Version != 12 {
		t.Errorf("migrations: %v", all)
	}
}
