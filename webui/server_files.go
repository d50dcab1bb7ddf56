package webui

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"left4me/hostops/ctl"
	"left4me/models"
)

// maxShown is the largest file of a server that is shown as text, in bytes.
const maxShown = 256 << 10

// serverFilesPage is one folder of a server's files: what its game wrote, or
// everything that it sees.
type serverFilesPage struct {
	serverFrame
	All     bool
	Folders []crumb
	Folder  *ctl.GameFolder
	Names   []string // of the layers, as people call them
	Problem string   // why the folder cannot be shown
}

func (serverFilesPage) template() string { return "server_files.html" }

// In is the address of a folder in the same view.
func (p serverFilesPage) In(dir string) string { return gameFolderPath(p.Head.Path(), dir, p.All) }

// Written and Everything are the two views of the folder.
func (p serverFilesPage) Written() string    { return gameFolderPath(p.Head.Path(), p.dir(), false) }
func (p serverFilesPage) Everything() string { return gameFolderPath(p.Head.Path(), p.dir(), true) }

func (p serverFilesPage) dir() string {
	if len(p.Folders) == 0 {
		return ""
	}
	return p.Folders[len(p.Folders)-1].Dir
}

// Faults are the layers that could not be read, in words.
func (p serverFilesPage) Faults() []string {
	var list []string
	for i, l := range p.Folder.Layers {
		if l.Fault != "" {
			list = append(list, p.Names[i]+": "+sentence(l.Fault))
		}
	}
	return list
}

// Rows are the entries with what the page says of them.
func (p serverFilesPage) Rows() []gameFileRow {
	rows := make([]gameFileRow, len(p.Folder.Entries))
	for i, e := range p.Folder.Entries {
		rows[i] = gameFileRow{e, p.Names, p.Head.Path(), p.All}
	}
	return rows
}

// gameFileRow is one entry of a folder.
type gameFileRow struct {
	ctl.GameFile
	names  []string
	server string
	all    bool
}

// Name is the last part of its path.
func (r gameFileRow) Name() string { return path.Base(r.Path) }

// Dir says that it can be looked into.
func (r gameFileRow) Dir() bool { return r.Kind == ctl.GameDir }

// File says that it can be opened.
func (r gameFileRow) File() bool { return r.Kind == ctl.GamePlain && !r.Closed }

// Plain says that it has a size.
func (r gameFileRow) Plain() bool { return r.Kind == ctl.GamePlain }

// Text says that it is small enough to be shown.
func (r gameFileRow) Text() bool { return r.File() && r.Size <= maxShown }

// Gone says that it is not there any more.
func (r gameFileRow) Gone() bool { return r.Kind == ctl.GameRemoved }

// Note is what has to be said of it.
func (r gameFileRow) Note() string {
	switch {
	case r.Closed:
		return "the game lets nobody else read it"
	case r.Kind == ctl.GameLink && r.Link != "":
		return "a link to " + clip(r.Link, 200)
	case r.Kind == ctl.GameLink:
		return "a link"
	case r.Kind == ctl.GameRemoved:
		return "removed by the game"
	case r.Kind == ctl.GameSpecial:
		return "a pipe, a socket or a device"
	}
	return ""
}

// From names the layers that it comes from: all of a folder's, the one that is seen
// of a file's.
func (r gameFileRow) From() []string {
	if r.Dir() {
		return r.layers(r.Layers)
	}
	return r.layers(r.Layers[:min(1, len(r.Layers))])
}

// Hides names the layers whose file of the same name nobody sees.
func (r gameFileRow) Hides() []string {
	if r.Dir() || len(r.Layers) < 2 {
		return nil
	}
	return r.layers(r.Layers[1:])
}

func (r gameFileRow) layers(numbers []int) []string {
	var names []string
	for _, i := range numbers {
		if i < len(r.names) {
			names = append(names, r.names[i])
		}
	}
	return names
}

// Open is the address of the folder, or of the file's text.
func (r gameFileRow) Open() string {
	if r.Dir() {
		return gameFolderPath(r.server, r.Path, r.all)
	}
	q := pathQuery(r.Path)
	if r.all {
		q.Set("view", "all")
	}
	return r.server + "/files/text?" + q.Encode()
}

// Download is where the file can be had.
func (r gameFileRow) Download() string { return gameFilePath(r.server, r.Path) }

func gameFilePath(server, p string) string {
	return server + "/files/download?" + pathQuery(p).Encode()
}

// pathQuery is a path of the game in an address. What is no text, and so can be in
// no address, is in another form there.
func pathQuery(p string) url.Values {
	switch {
	case p == "":
		return url.Values{}
	case utf8.ValidString(p):
		return url.Values{"path": {p}}
	}
	return url.Values{"bytes": {base64.RawURLEncoding.EncodeToString([]byte(p))}}
}

// gamePath is the path that pathQuery put into an address.
func gamePath(c *gin.Context) string {
	if p, err := base64.RawURLEncoding.DecodeString(c.Query("bytes")); err == nil && len(p) > 0 {
		return string(p)
	}
	return c.Query("path")
}

func gameFolderPath(server, dir string, all bool) string {
	q := pathQuery(dir)
	if all {
		q.Set("view", "all")
	}
	if len(q) == 0 {
		return server + "/files"
	}
	return server + "/files?" + q.Encode()
}

func (s *Server) showServerFiles(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	if s.Content == nil {
		return noContent
	}
	leave, err := s.enterHeavy(c)
	if err != nil {
		return err
	}
	defer leave()
	dir := gamePath(c)
	p := serverFilesPage{All: c.Query("view") == "all", Folders: crumbs(dir), Folder: &ctl.GameFolder{Dir: dir}}
	if p.All {
		var spec models.Spec
		if spec, err = s.gameSpec(c.Request.Context(), v); err != nil {
			return err
		}
		p.Folder, err = s.Content.Seen(v.Server.Instance, hostSpec(spec), dir)
		p.Names = layerNames(p.Folder, spec)
	} else {
		p.Folder, err = s.Content.Written(v.Server.Instance, dir)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		p.Folder, p.Problem = &ctl.GameFolder{Dir: dir}, "The game lets nobody else look into this folder."
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		return models.ErrNotFound
	case err != nil:
		return err
	}
	if p.serverFrame, err = s.serverFrame(c, v, "/files"); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, p)
}

// gameSpec is what the running game was started with; for one that does not run, or
// of which that is not known, what the next start would use.
func (s *Server) gameSpec(ctx context.Context, v serverView) (models.Spec, error) {
	if v.Up() {
		known, err := models.RememberedSpecs(ctx, s.DB, []models.Server{*v.Server})
		if err != nil {
			return models.Spec{}, err
		}
		if spec, ok := known[v.Server.ID]; ok {
			return spec, nil
		}
	}
	return models.SpecOf(ctx, s.DB, v.Server)
}

// hostSpec is what a host would make files from.
func hostSpec(spec models.Spec) ctl.Spec {
	out := ctl.Spec{Port: spec.Port, Hostname: spec.Hostname, Arguments: spec.Arguments, Config: spec.Config}
	for _, o := range spec.Overlays {
		if o.Version == 0 { // it has no content
			continue
		}
		out.Overlays = append(out.Overlays, o.Ref())
		if o.Exec {
			out.Exec = append(out.Exec, o.Ref())
		}
	}
	return out
}

// layerNames is what people call the layers of a folder.
func layerNames(g *ctl.GameFolder, spec models.Spec) []string {
	if g == nil {
		return nil
	}
	byRef := map[string]string{}
	for _, o := range spec.Overlays {
		byRef[o.Ref()] = o.Name
	}
	names := make([]string, len(g.Layers))
	for i, l := range g.Layers {
		switch l.Kind {
		case ctl.LayerWritten:
			names[i] = "Written by the game"
		case ctl.LayerGenerated:
			names[i] = "Made by left4me"
		case ctl.LayerOverlay:
			names[i] = byRef[l.Ref]
		default:
			names[i] = "The game"
		}
	}
	return names
}

// openGameFile opens the file that the address names and says what hides the RCON
// password in it.
func (s *Server) openGameFile(c *gin.Context) (serverView, File, rconMask, error) {
	v, err := s.tabView(c)
	if err != nil {
		return v, nil, rconMask{}, err
	}
	if s.Content == nil {
		return v, nil, rconMask{}, noContent
	}
	mask, err := s.rconMask(v.Server)
	if err != nil {
		return v, nil, mask, err
	}
	spec, err := s.gameSpec(c.Request.Context(), v)
	if err != nil {
		return v, nil, mask, err
	}
	f, err := s.Content.OpenSeen(v.Server.Instance, hostSpec(spec), gamePath(c))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = models.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		err = &failure{status: http.StatusConflict, title: "Nobody else may read it", text: "The game wrote this file so that nobody but itself may read it.", cause: err}
	case errors.Is(err, fs.ErrInvalid):
		err = &failure{status: http.StatusConflict, title: "That is no file", text: "It is a link, a folder or something else that has no content of its own, so it is not opened.", cause: err}
	}
	return v, f, mask, err
}

// gameTextPage shows a small file as text.
type gameTextPage struct {
	serverFrame
	All      bool // it was opened from the view of all files
	Name     string
	Folders  []crumb
	Size     int64
	Why      string // why it is not shown
	Text     string
	Download string
}

func (gameTextPage) template() string { return "server_file.html" }

// In is the address of a folder.
func (p gameTextPage) In(dir string) string { return gameFolderPath(p.Head.Path(), dir, p.All) }

func (s *Server) showGameFile(c *gin.Context) error {
	v, f, mask, err := s.openGameFile(c)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	at := gamePath(c)
	p := gameTextPage{All: c.Query("view") == "all", Name: path.Base(at), Folders: crumbs(folderOf(at)), Size: f.Size(), Download: gameFilePath(v.Path(), at)}
	if f.Size() > maxShown {
		p.Why = fmt.Sprintf("It is larger than %s. Download it to look at it.", formatBytes(maxShown))
	} else {
		raw, err := io.ReadAll(io.LimitReader(f, maxShown))
		if err != nil {
			return err
		}
		mask.hide(raw)
		text, _, ok := decodeText(raw)
		if !ok {
			p.Why = "It is not a text. Download it to look at it."
		}
		p.Text = cleanLines(text)
	}
	if p.serverFrame, err = s.serverFrame(c, v, "/files"); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, p)
}

// cleanLines is cleanText for a text of many lines.
func cleanLines(text string) string {
	if isPlain(strings.ReplaceAll(text, "\n", "")) {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = cleanText(l)
	}
	return strings.Join(lines, "\n")
}

// downloadGameFile sends a file to be saved, as long as it was when it was opened.
// Its type is always the one that no browser shows.
func (s *Server) downloadGameFile(c *gin.Context) error {
	leave, err := s.enterDownload(c)
	if err != nil {
		return err
	}
	defer leave()
	_, f, mask, err := s.openGameFile(c)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	h := c.Writer.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", attachment(path.Base(gamePath(c))))
	h.Set("Content-Length", strconv.FormatInt(f.Size(), 10))
	n, err := io.Copy(newPatientWriter(c), &maskReader{in: io.LimitReader(f, f.Size()), mask: mask})
	if err == nil && n == f.Size() {
		return nil
	}
	// The game cut it off meanwhile, or the visitor left: only a broken connection
	// says that what came is not whole.
	s.Log.InfoContext(c.Request.Context(), "a download broke off", "sent", n, "size", f.Size(), "err", err)
	panic(http.ErrAbortHandler)
}

// attachment is the header that has a browser save a file under a stranger's name.
func attachment(name string) string {
	if h := mime.FormatMediaType("attachment", map[string]string{"filename": name}); h != "" {
		return h
	}
	return "attachment" // a name that no header can carry
}
