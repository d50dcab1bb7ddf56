package webui

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"

	"left4me/hostops/ctl"
	"left4me/models"
)

// What a path in an overlay may be: what the host takes, or less. The host checks
// every path again.
const (
	maxPathBytes  = 1000
	maxPathLevels = 32
	maxNameBytes  = 255 // the kernel's own bound
)

// checkPath refuses, with an InvalidError, what cannot be the path of a file or
// folder in an overlay.
func checkPath(p string) error {
	bad := func(text string) error { return models.Invalid("path", text) }
	switch {
	case p == "":
		return bad("Give it a name.")
	case len(p) > maxPathBytes:
		return bad(fmt.Sprintf("The path is longer than %d bytes. Shorten it.", maxPathBytes))
	case strings.ContainsRune(p, '\\'):
		return bad("Write folders with forward slashes, such as left4dead2/cfg/server.cfg.")
	case strings.ContainsFunc(p, func(r rune) bool { return unicode.IsControl(r) || isBidiControl(r) }):
		return bad("The path holds a character that cannot be seen. Type it anew.")
	case !fs.ValidPath(p) || p == ".": // also when it is no UTF-8
		return bad("Write names with single slashes between them and none at the ends, such as left4dead2/cfg/server.cfg.")
	case strings.Count(p, "/") >= maxPathLevels:
		return bad(fmt.Sprintf("The path leads through more than %d folders. Put it further up.", maxPathLevels))
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxNameBytes {
			return bad(fmt.Sprintf("A name in the path is longer than %d bytes. Shorten it.", maxNameBytes))
		}
	}
	return nil
}

// checkFolder is checkPath for a folder, where "" is the top.
func checkFolder(dir string) error {
	if dir == "" {
		return nil
	}
	return checkPath(dir)
}

// within is a path below a folder, "" for the top.
func within(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// folderOf is the folder of a path, "" for the top.
func folderOf(p string) string {
	if dir := path.Dir(p); dir != "." {
		return dir
	}
	return ""
}

// isArchive says whether a file is called like an archive that the host unpacks. What
// it really is, the host finds out.
func isArchive(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{".zip", ".7z", ".rar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// What is done with archives that are uploaded.
const (
	archivesPlace = "place" // unpacked where their content belongs
	archivesHere  = "here"  // unpacked into the folder
	archivesKeep  = "keep"  // kept as files
)

// placement says what change an upload becomes. dir is the folder it was dropped
// into, name what the browser calls it: with folders when a whole folder is uploaded.
// Only what is uploaded by itself is unpacked or finds its place by what it is.
func placement(dir, name, archives string) (op ctl.FileOp, target string, err error) {
	if err := checkFolder(dir); err != nil {
		return "", "", err
	}
	target = within(dir, name)
	if err := checkPath(target); err != nil {
		return "", "", err
	}
	alone := !strings.Contains(name, "/")
	switch {
	case alone && isArchive(name) && archives == archivesHere && dir == "":
		return ctl.FileUnpack, ".", nil
	case alone && isArchive(name) && archives == archivesHere:
		return ctl.FileUnpack, dir, nil
	case alone && isArchive(name) && archives != archivesKeep:
		return ctl.FileUnpack, "", nil
	case alone && dir == "" && strings.EqualFold(path.Ext(name), ".vpk"):
		return ctl.FilePut, "", nil // add-ons have one place where the game looks
	}
	return ctl.FilePut, target, nil
}
