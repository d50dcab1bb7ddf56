package webui

import (
	"bytes"
	"errors"
	"io"
	"regexp"

	"left4me/models"
)

// rconSetting is how files and consoles write an RCON password, whichever it is.
var rconSetting = regexp.MustCompile(`(?i)rcon_password["\s=]+([^\s";=][^\s";]*)`)

// rconMask hides RCON passwords in files of a server: the one that it has, and what
// any line says that one is. It keeps every length, so that a file stays as it is
// but for those bytes.
type rconMask struct{ secret []byte }

func (s *Server) rconMask(srv *models.Server) (rconMask, error) {
	secret, err := s.Key.Open(srv.RCONOwner(), srv.RCONPassword)
	return rconMask{[]byte(secret)}, err
}

func (m rconMask) hide(b []byte) {
	stars := func(b []byte) { copy(b, bytes.Repeat([]byte("*"), len(b))) }
	for rest := b; len(m.secret) > 0; {
		i := bytes.Index(rest, m.secret)
		if i < 0 {
			break
		}
		stars(rest[i : i+len(m.secret)])
		rest = rest[i+len(m.secret):]
	}
	for _, at := range rconSetting.FindAllSubmatchIndex(b, -1) {
		stars(b[at[2]:at[3]])
	}
}

// maskHeld is how many bytes are held back until it is known what follows them: more
// than a password and the setting's name are long.
const maskHeld = 512

// maskReader hides passwords in what it reads.
type maskReader struct {
	in   io.Reader
	mask rconMask
	buf  []byte // masked; the last maskHeld bytes may be the beginning of something
	done bool
}

func (r *maskReader) Read(p []byte) (int, error) {
	for !r.done && len(r.buf) <= maskHeld {
		more := make([]byte, 32<<10)
		n, err := r.in.Read(more)
		r.buf = append(r.buf, more[:n]...)
		r.mask.hide(r.buf)
		if errors.Is(err, io.EOF) {
			r.done = true
		} else if err != nil {
			return 0, err
		}
	}
	ready := len(r.buf)
	if !r.done {
		ready -= maskHeld
	}
	if ready == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.buf[:ready])
	r.buf = r.buf[n:]
	return n, nil
}
