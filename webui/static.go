package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

//go:embed static
var staticFiles embed.FS

// static holds what never changes while the program runs, compressed once. A
// file's address carries a hash of its content, so it may be cached for ever.
type static struct {
	byURL  map[string]asset  // app.1f2e3d4c5b.css
	byName map[string]string // app.css → app.1f2e3d4c5b.css
}

type asset struct {
	kind        string
	plain, gzip []byte
}

func loadStatic() (*static, error) {
	st := &static{byURL: map[string]asset{}, byName: map[string]string{}}
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		if ext == ".md" || ext == ".LICENSE" {
			continue
		}
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read static file %s: %w", e.Name(), err)
		}
		sum := sha256.Sum256(body)
		hashed := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:5]) + ext
		st.byName[e.Name()] = hashed
		st.byURL[hashed] = asset{kind: contentType(ext), plain: body, gzip: compress(body)}
	}
	return st, nil
}

// contentType does not ask the host: its mime table may say anything.
func contentType(ext string) string {
	switch ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	}
	return mime.TypeByExtension(ext)
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is a valid one
	_, _ = zw.Write(body)                                    // writing to memory does not fail
	_ = zw.Close()
	return out.Bytes()
}

// url is the address of a static file. A name that does not exist is a mistake
// in a template and stops the program at start-up, in the templates' check.
func (st *static) url(name string) (string, error) {
	hashed, ok := st.byName[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return "/static/" + hashed, nil
}

func (s *Server) staticFile(c *gin.Context) error {
	a, ok := s.static.byURL[c.Param("file")]
	if !ok {
		return models.ErrNotFound
	}
	serveAsset(c, a, "public, max-age=31536000, immutable")
	return nil
}

func (s *Server) favicon(c *gin.Context) error {
	serveAsset(c, s.static.byURL[s.static.byName["icon.svg"]], "public, max-age=3600")
	return nil
}

func serveAsset(c *gin.Context, a asset, caching string) {
	c.Header("Cache-Control", caching)
	c.Header("Vary", "Accept-Encoding")
	if acceptsGzip(c.Request) && len(a.gzip) < len(a.plain) {
		c.Header("Content-Encoding", "gzip")
		c.Data(http.StatusOK, a.kind, a.gzip)
		return
	}
	c.Data(http.StatusOK, a.kind, a.plain)
}
