package steam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"left4me/hostops/ctl"
)

// dataDirs are where steamcmd keeps its own files below its home: the tarball's
// place and that of Debian's package.
var dataDirs = []string{"Steam", ".local/share/Steam"}

// lastInstall is the raw output of the last install, for replaying it.
const lastInstall = "last-install.txt"

// maxRecord bounds it; a whole install prints a tenth of that.
const maxRecord = 16 << 20

// mask takes the kept login out of what steamcmd says; nil when there is none.
func (o Options) mask() func(string) string {
	if o.login == nil {
		return nil
	}
	return o.login.mask
}

// steamcmd runs it once, its output through p. stop must cancel ctx with a cause.
// record names the file in Steam's folder that keeps the output; "" keeps none.
// Errors are *Failure, or of starting it.
func (o Options) steamcmd(ctx context.Context, stop func(error), commands [][]string, p *Parser, record string) (ending, error) {
	p.Mask = o.mask()
	p.Waits = func(sentence string) {
		stop(&Failure{Class: ctl.ErrSteam, Kind: ClassLogin, Sentence: sentence})
	}
	args, remove, err := o.arguments(commands)
	if err != nil {
		return ending{}, err
	}
	defer remove()
	copied := o.record(record)
	stderr := newLineLog(o.Stderr, o.Emit, o.mask())
	end, err := child{
		path: realPath(o.Steamcmd), args: args, held: o.held,
		env: environment(o.Home), dir: filepath.Dir(o.Steamcmd),
		out: io.MultiWriter(p, copied), err: stderr, grace: o.Grace, silence: o.Silence,
	}.run(ctx)
	_, _ = p.Close(), stderr.Close() // neither can fail
	copied.finish(end)
	var f *Failure
	switch {
	case errors.Is(err, errSilent):
		return end, &Failure{
			Class: ctl.ErrSteamRetry, Again: true, Kind: ClassNetwork,
			Sentence: fmt.Sprintf("steamcmd printed nothing for %s and was ended. Try again.", o.Silence),
		}
	case errors.As(err, &f):
		return end, f
	case ctx.Err() != nil:
		return end, cancelled()
	}
	return end, err
}

// arguments is steamcmd's command line. With an account the commands stand in a
// script instead, which remove takes away again.
func (o Options) arguments(commands [][]string) (args []string, remove func(), err error) {
	removeScripts(o.Home)
	for _, words := range commands {
		if words[0] == "login" && words[1] != "anonymous" {
			path, remove, err := o.login.writeScript(o.Home, commands)
			return []string{"+runscript", path}, remove, err
		}
		args = append(args, "+"+words[0])
		args = append(args, words[1:]...)
	}
	return args, func() {}, nil
}

// environment is all that steamcmd gets. Nothing is inherited: a proxy or a
// preload of the caller's is not steamcmd's business.
func environment(home string) []string {
	return []string{"HOME=" + home, "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin", "TERM=dumb"}
}

// realPath follows links, because steamcmd.sh changes into the folder that it
// was called by and looks for its program there.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// recording keeps steamcmd's output as it came, but for secrets. It ends as those
// of script(1) do, so that both can be replayed. Whatever fails is ignored: it is
// for whoever looks for a mistake later.
type recording struct {
	file *os.File // nil for none
	left int
	log  *lineLog
}

func (o Options) record(name string) *recording {
	r := &recording{left: maxRecord}
	if name != "" {
		path := filepath.Join(o.Home, name)
		_ = os.Remove(path)
		r.file, _ = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	r.log = newLineLog(writerFunc(r.put), func(ctl.Event) {}, o.mask())
	return r
}

func (r *recording) Write(b []byte) (int, error) { return r.log.Write(b) }

func (r *recording) put(b []byte) (int, error) {
	if r.file != nil && len(b) <= r.left {
		r.left -= len(b)
		_, _ = r.file.Write(b)
	}
	return len(b), nil
}

func (r *recording) finish(end ending) {
	_ = r.log.Close()
	if r.file != nil {
		_, _ = fmt.Fprintf(r.file, "\nScript done on %s [COMMAND_EXIT_CODE=\"%d\"]\n", time.Now().UTC().Format("2006-01-02 15:04:05-07:00"), end.code)
		_ = r.file.Close()
	}
}
