package console

// showHome shows the first page of a mode.
func (v *visit) showHome() error { return v.render("home", nil) }
