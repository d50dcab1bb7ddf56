package overlay

import (
	"context"

	"left4me/hostops/ctl"
)

// CheckOptions say how a stage is looked at.
type CheckOptions struct {
	Limits Limits
	// Before is the tree as it was when it was last checked: its files have not
	// changed since, though some may be gone, and are not read again.
	Before *Tree
	// Read is told how many bytes were read, from several goroutines; may be nil.
	Read func(bytes int64)
}

// Check looks at everything in the stage, gives every folder the mode 0755, every
// file 0644 (0755 where anybody may run it) and our group, and computes the
// SHA-256 of what Link did not bring. The first thing that may not be in a version
// is an error, ctl.ErrContent, that names it: whiteouts, devices, FIFOs, sockets,
// setuid files, attributes of overlayfs, hard links and symbolic links to outside,
// names that are no text, too much of anything. Nothing outside of the stage is
// changed or read, whatever the builder left there.
func (st *Stage) Check(ctx context.Context, o CheckOptions) (*Tree, error) {
	w := &walker{limits: o.Limits, linked: st.linked, fix: true, bad: func(path, text string) error {
		return fail(ctl.ErrContent, "%s %s: take it out and build again", shown(path), text)
	}}
	if o.Before != nil {
		w.known = make(map[string]string, len(o.Before.Files))
		for _, f := range o.Before.Files {
			if f.SHA256 != "" {
				w.known[f.Path] = f.SHA256
			}
		}
	}
	return w.run(ctx, st.Dir, o.Read)
}
