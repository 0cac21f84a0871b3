package store

// Installation implements service.Reader. The migration that makes the table
// makes the id.
func (r *reader) Installation() (id string, err error) {
	err = r.One([]any{&id}, "SELECT id FROM installation")
	return id, err
}
