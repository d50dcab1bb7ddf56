package webui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
)

// maxText is the largest file that can be edited in a browser, in bytes.
const maxText = 1 << 20

// entryPage is one file or folder of a files overlay: its name and place, and its
// text when it is one.
type entryPage struct {
	Layout  layout
	Path    string // of the overlay
	Name    string // of the overlay
	Entry   fileEntry
	Folders []crumb
	New     bool // there is no such file yet
	Change  bool
	Target  string // where it is to be moved
	Problem string

	Editable bool
	Why      string // why it cannot be edited
	Text     string
	Latin1   bool   // the text is shown as Latin-1
	Token    string // of the content that the text was; see draftNode.token
	Conflict bool   // somebody else was faster
	TextFail string
}

func (entryPage) template() string { return "overlay_entry.html" }

// Download is where the file, or the folder as a zip, can be had.
func (p entryPage) Download() string {
	return p.Path + "/files/download?path=" + url.QueryEscape(p.Entry.Path)
}

// In is the address of a folder.
func (p entryPage) In(dir string) string { return folderPath(p.Path, dir) }

// Mode is what the editor takes the text for.
func (p entryPage) Mode() string {
	switch strings.ToLower(path.Ext(p.Entry.Path)) {
	case ".cfg":
		return "cfg"
	case ".sh":
		return "shell"
	}
	return "text"
}

// Parent is the folder it lies in.
func (p entryPage) Parent() string { return folderPath(p.Path, folderOf(p.Entry.Path)) }

func (s *Server) showEntry(c *gin.Context) error {
	o, err := s.overlay(c)
	if err != nil {
		return err
	}
	if o.Kind != models.OverlayFiles {
		return models.ErrNotFound
	}
	return s.renderEntry(c, http.StatusOK, o, c.Query("path"), func(*entryPage) {})
}

// renderEntry shows the page; change puts in what a refused form said.
func (s *Server) renderEntry(c *gin.Context, status int, o *models.Overlay, at string, change func(*entryPage)) error {
	if err := checkPath(at); err != nil {
		return err
	}
	ctx, u := c.Request.Context(), user(c)
	tree, err := s.draftTree(ctx, s.DB, u, o)
	if errors.Is(err, fs.ErrNotExist) {
		return models.ErrNotFound
	} else if err != nil {
		return err
	}
	p := entryPage{Path: overlayPath(o.ID), Name: o.Name, Change: o.ChangeableBy(u), Target: at, Folders: crumbs(folderOf(at))}
	node := tree.find(at)
	switch {
	case node == nil && !p.Change:
		return models.ErrNotFound
	case node == nil:
		p.New, p.Editable, p.Entry = true, true, fileEntry{Path: at, Name: path.Base(at)}
	default:
		p.Entry, p.Token = node.entry(at), node.token()
		if !node.dir() {
			if err := s.fillText(o, node, &p); err != nil {
				return err
			}
		}
	}
	if p.Layout, err = s.layout(c, p.Entry.Name, "overlays"); err != nil {
		return err
	}
	if p.Editable {
		p.Layout.Scripts = []string{"editor.js"}
	}
	change(&p)
	return s.show(c, status, p)
}

// openNode opens a file's content, in the version or of an upload.
func (s *Server) openNode(o *models.Overlay, n *draftNode) (File, error) {
	if n.upload != "" {
		return s.Content.OpenUpload(n.upload)
	}
	return s.Content.Open(o.ID, o.Version, n.origin)
}

func (s *Server) fillText(o *models.Overlay, n *draftNode, p *entryPage) error {
	if n.size > maxText {
		p.Why = fmt.Sprintf("It is larger than %s, so it can only be downloaded and uploaded.", formatBytes(maxText))
		return nil
	}
	raw, err := s.readNode(o, n)
	if errors.Is(err, fs.ErrNotExist) {
		p.Why = "The host does not have its content any more. Upload it again."
		return nil
	} else if err != nil {
		return err
	}
	text, latin1, ok := decodeText(raw)
	if !ok {
		p.Why = "It is not a text, so it can only be downloaded and uploaded."
		return nil
	}
	p.Editable, p.Text, p.Latin1 = true, text, latin1
	return nil
}

func (s *Server) readNode(o *models.Overlay, n *draftNode) ([]byte, error) {
	f, err := s.openNode(o, n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	raw, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(raw) > maxText {
		err = fmt.Errorf("a file of %d bytes has more", n.size)
	}
	return raw, err
}

// decodeText turns a file into text. What is no UTF-8 is taken for Latin-1, in which
// every byte is a character; what holds a NUL is no text.
func decodeText(raw []byte) (text string, latin1, ok bool) {
	if bytes.IndexByte(raw, 0) >= 0 {
		return "", false, false
	}
	if utf8.Valid(raw) {
		return string(raw), false, true
	}
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	return string(runes), true, true
}

// encodeText turns what a form sent into the bytes of a file: with the line ends that
// the file had, and in Latin-1 if it was that and the text fits. Browsers send CRLF.
func encodeText(text string, like []byte) []byte {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if bytes.Contains(like, []byte("\r\n")) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if utf8.Valid(like) || strings.ContainsFunc(text, func(r rune) bool { return r > 0xff }) {
		return []byte(text)
	}
	raw := make([]byte, 0, len(text))
	for _, r := range text {
		raw = append(raw, byte(r))
	}
	return raw
}

// saveFile makes the text of a form the content of a file.
func (s *Server) saveFile(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	if s.Content == nil {
		return noContent
	}
	at, text := c.PostForm("path"), c.PostForm("text")
	if err := checkPath(at); err != nil {
		return err
	}
	keep := func(p *entryPage) { p.Editable, p.Text, p.TextFail = true, text, "" }
	tree, err := s.draftTree(c.Request.Context(), s.DB, user(c), o)
	if err != nil {
		return err
	}
	var like []byte
	if n := tree.find(at); n != nil && !n.dir() && n.size <= maxText {
		if like, err = s.readNode(o, n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	raw := encodeText(text, like)
	switch {
	case len(raw) > maxText:
		err = models.Invalid("text", fmt.Sprintf("The text is larger than %s. Upload it as a file.", formatBytes(maxText)))
	case bytes.IndexByte(raw, 0) >= 0 || !utf8.ValidString(text):
		err = models.Invalid("text", "The text holds characters that are none. Remove them.")
	default:
		err = s.putText(c, o, at, c.PostForm("token"), raw)
	}
	if errors.Is(err, errFaster) {
		return s.renderEntry(c, http.StatusConflict, o, at, func(p *entryPage) { keep(p); p.Conflict = true })
	}
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderEntry(c, http.StatusUnprocessableEntity, o, at, func(p *entryPage) {
			keep(p)
			p.TextFail, p.Token = bad.Message, c.PostForm("token")
		})
	} else if err != nil {
		return err
	}
	s.flash(c, "saved")
	return goTo(c, entryPath(overlayPath(o.ID), at))
}

// errFaster: the file is not what it was when its text was opened.
var errFaster = errors.New("the file was changed meanwhile")

// putText brings a text to the host and into the draft, unless the file has other
// content by then than the one with this token.
func (s *Server) putText(c *gin.Context, o *models.Overlay, at, token string, raw []byte) error {
	ctx := c.Request.Context()
	up := &models.Upload{UserID: user(c).ID, OverlayID: o.ID, Name: path.Base(at), Size: int64(len(raw)), Op: string(ctl.FilePut), Path: at}
	if err := s.beginUpload(ctx, up); err != nil {
		return err
	}
	n, err := s.Content.Append(up.ID, 0, bytes.NewReader(raw))
	if err == nil && n != up.Size {
		err = fmt.Errorf("the host has %d bytes of a text of %d", n, up.Size)
	}
	if err == nil {
		change := models.DraftChange{Op: up.Op, Path: at, UploadID: up.ID, Name: up.Name, Size: up.Size}
		err = s.changeDraft(c, o, change, func(ctx context.Context, tx bun.Tx, t *draftTree) error {
			if t.find(at).token() != token {
				return errFaster
			}
			return models.FinishUpload(ctx, tx, up, up.Size)
		})
	}
	if err != nil {
		s.abandonUpload(ctx, up.ID)
		return uploadProblem(err)
	}
	return nil
}
