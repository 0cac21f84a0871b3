// Package store keeps records and logs in a database: it implements service.Store on SQLite and PostgreSQL.
//
// This package is the engine: Views, the writer with its groups, leases, and the reserve of a full disk. The SQL is
// in the packages below it, and runs on both databases.
//
//	store            the engine
//	  records        accounts, keys, files, links, grants, guesses, challenges, mails, stored responses
//	  auditlog       entries, their index, tiles, checkpoints
//	  sqlite         opens SQLite
//	  postgres       opens PostgreSQL
//	  sqldb          connections, dialects, sessions: what all of these use
//	transfer         copies an installation from SQLite to PostgreSQL, over store
//
// # What a change goes through
//
//	Update, or an unlogged write
//	  |
//	  |-- store closed, or database replaced -----------------> CodeUnavailable
//	  |-- reserve released, and ctx is not service.Ending ----> CodeStorageFull
//	  v
//	waiting -- ctx ends first --> abandoned: not run, ctx.Err
//	  |
//	  |  the writer takes all that wait: up to 256 are a group
//	  v
//	begun: BEGIN, lock the heads, run each, flush, index, heads, COMMIT
//	  |    ^
//	  |    |-- concurrent transaction: ROLLBACK, run again
//	  |    |-- one failed after it had written: ROLLBACK, run again carefully,
//	  |        each behind a savepoint (four runs in all)
//	  |
//	  |-- its function failed ---------> its error; its neighbours are committed
//	  |-- the transaction failed ------> the error, for all; the connection is closed.
//	  |                                  Disk full: the reserve is released, and an ending
//	  |                                  or unlogged write is submitted once more.
//	  |                                  Connection lost in COMMIT: it may be committed.
//	  v
//	committed: the callers return, then the next group begins
//
// # Invariants
//
// The writer
//
//  1. One goroutine writes (writer.go), on one connection. Connections of Views cannot write: the database refuses
//     it.
//  2. Either the writer begins a request or its caller abandons it; an atomic state decides. A begun request is
//     waited for, and runs again with its group even if its context has ended. An abandoned one leaves the queue
//     (queue.go), so that the queue is no longer than there are callers.
//  3. A request returns nil only after the COMMIT of its group succeeded. On PostgreSQL the writer asks before COMMIT
//     whether the transaction has failed (Dialect.Sound), because COMMIT of a failed one is a rollback without an
//     error.
//  4. When the transaction fails, every request of the group gets that error, also one whose function had returned an
//     error of its own: it may have read what its neighbours wrote.
//  5. The writer holds the heads of the group's ledgers before it reads anything that a decision depends on. On
//     SQLite it holds the whole database (BEGIN IMMEDIATE). On PostgreSQL it locks the rows, ordered by account and
//     mode. A deadlock of two processes, which new ledgers and other rows can still cause, runs the group again.
//
// What a group keeps in memory (group.go, auditlog.Group, records.Group)
//
//  6. A head is read once. Entries take their seq from it in memory, and it is written once, before COMMIT, in the
//     same transaction. So seq has no gap.
//  7. Links that were minted, entries, and downloads are gathered and written together (Flush). A read flushes first
//     (Session.One, Many, and the queries of batches). Only OneUnbuffered does not: it reads the heads, tables that
//     are never gathered, and objects that are cached. A link is flushed before it is read when it is among those
//     gathered.
//  8. Keys, files and links that were read are cached. A download updates the cached link. Any other statement that
//     changes such an object comes with a flush, and all cached objects are forgotten. The last use of a key is an
//     exception: the cached one may be older, and no decision depends on it.
//  9. Heads and objects are kept for the next group only if the last one was committed, on the same connection, and
//     the database says that no other connection has written since (PRAGMA data_version). On PostgreSQL, which has no
//     such number, they never are. At most 4096 are kept.
//
// A request that fails
//
//  10. Without savepoints: when it has written nothing, what it gathered is dropped and its head restored. When it has
//     written or flushed, or the database failed, the group runs again carefully.
//  11. Carefully: everything gathered is flushed before its savepoint, so that a rollback to it undoes its own changes
//     only. Its head is restored, and all objects are forgotten.
//  12. The function of a request may run several times, so it has no effect but on its Tx. Its panic is given to its
//     caller. After it has returned, its Tx refuses every call.
//
// The index of a log (auditlog/index.go)
//
//  13. The index covers exactly the entries before the head's indexed. It is written in the transaction that moves
//     that. While it is rebuilt (auditlog/repair.go), stale rows may lie beyond it: nothing reads them.
//  14. The unindexed tail of a ledger in memory is used only if it begins at indexed and ends at next; otherwise
//     another process has written, and the terms are read again from the batches.
//
// Around the writer
//
//  15. An unlogged write (unlogged.go) names the ledger that it changes, and so holds its head, as Extend and EndLinks
//     do. One that names none changes nothing that a decision depends on: the last use of keys, rows that have
//     expired, the findings of the scrub, leases.
//  16. When the database file was replaced or removed, every call is refused, no new connection is made, and Close
//     moves the WAL into the file that was opened (sqlite/watch.go).
//  17. While the reserve is released only endings and unlogged writes are accepted (reserve.go).
//  18. A lease (lease.go) ends by the database's clock. Its holder's context ends no later, by the holder's monotonic
//     clock, which runs on while a process is frozen. A lease does not fence writes: work that goes on for a moment
//     beside the next holder must do no harm.
//  19. On Linux the writer's connection gathers what SQLite writes into the WAL while it commits
//     (sqlite/wal_linux.go). It is on the disk when SQLite's sync returns, and so before any connection can see the
//     commit and before a caller is answered. What cannot be written fails the commit and is dropped. Nothing is
//     gathered outside of a commit, so nothing is left of a transaction that was rolled back.
//  20. What was erased is scrubbed from the database's files after the commit; when that fails it is tried again after
//     the next commit.
package store
