package store_test

import (
	"sluice/sluicetest"
	"sluice/store"
)

func init() { store.NewPostgres = sluicetest.Postgres }
