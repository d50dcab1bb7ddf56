package webui

import (
	"io"

	"left4me/hostops/ctl"
)

// Content is what pages see of the overlays on their host, and where uploads go.
// Published versions are read only; the only thing that is ever written is an
// upload's own file, named by its id. No method takes a path outside a version.
//
// A version or file that is not there is fs.ErrNotExist.
type Content interface {
	// Manifest is a version with its list of files. Collected versions have one.
	Manifest(overlay, version int64) (*ctl.Manifest, error)
	// Open opens a regular file of a version for reading.
	Open(overlay, version int64, path string) (File, error)
	// Stack says what a game with these refs, uppermost first, would see of the
	// folder dir, which is "" for the top.
	Stack(refs []string, dir string) (*ctl.Stack, error)
	// ServerCfg renders cfg/server.cfg as l4d2ctl initialize would write it, with
	// the RCON password masked, and what of the user's text loses against it.
	ServerCfg(spec ctl.Spec) (text string, notices []string, err error)
	// Written lists what the game of an instance wrote into a folder, which is ""
	// for the top. A folder that may not be read is fs.ErrPermission.
	Written(instance, dir string) (*ctl.GameFolder, error)
	// Seen lists what the game of an instance with this spec sees in a folder, and
	// which layers it comes from. Of the spec, the password is not used.
	Seen(instance string, spec ctl.Spec, dir string) (*ctl.GameFolder, error)
	// OpenSeen opens a file of Seen: of what the game wrote as it is now, up to its
	// present size; generated ones with their password masked. What is no file is
	// fs.ErrInvalid, what may not be read fs.ErrPermission.
	OpenSeen(instance string, spec ctl.Spec, path string) (File, error)
	// Advice says what of a spec the game would not take as it is written, and what of
	// it the host refuses. A spec that is not whole yet is judged as far as it goes.
	Advice(spec ctl.Spec) []ctl.Notice
	// Image opens the picture of a workshop item, and says what type it is.
	Image(item string) (f File, contentType string, err error)
	// Avatar opens the picture of a player by its SHA-256, and says what type it is.
	Avatar(sum string) (f File, contentType string, err error)
	// Recipes lists the shipped recipes.
	Recipes() []ctl.Recipe

	// Append writes a chunk of an upload at offset and returns how many bytes the
	// upload has then. A chunk that begins beyond the end is refused.
	Append(upload string, offset int64, chunk io.Reader) (int64, error)
	// OpenUpload opens a finished upload for reading.
	OpenUpload(upload string) (File, error)
	// RemoveUpload forgets an upload; one that is not there is no error.
	RemoveUpload(upload string) error
	// Room is how many bytes uploads may still take on the host's disk.
	Room() (int64, error)
}

// File is an open file that can be served in parts.
type File interface {
	io.ReadSeekCloser
	Size() int64
}
