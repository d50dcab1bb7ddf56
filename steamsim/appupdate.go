package steamsim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// update is one app_update: one platform pass.
type update struct {
	*session
	library, dir string // of the manifest, of the files
	m            *manifest
	missing      []depot
	files        []gameFile // of the missing depots
	total        int64

	staged, committed int // files of those
}

func (s *session) appUpdate(args []string) {
	if len(args) == 0 {
		s.out.print("Usage: app_update <appid> [-beta <name>] [validate]\n")
		return
	}
	if s.account == "" {
		s.out.print("ERROR! Failed to request AppInfo update, not online or not logged in to Steam.\n")
		s.failed(8)
		return
	}
	s.pause(500)
	if f, met := s.fault(atRequest); met {
		s.out.print(strings.ReplaceAll(f.line, "$APP", args[0]) + "\n")
		s.failed(f.status)
		return
	}
	if args[0] != appID {
		s.refuse(args[0], "No subscription")
		return
	}
	u := &update{session: s}
	u.library, u.dir = s.library()
	err := u.run(slices.Contains(args[1:], "validate"))
	switch {
	case err == nil:
		s.installed, s.status = true, 0
	case errors.Is(err, errStopped):
		// said and recorded where it happened
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		u.stop(scenarios["disk_full"])
	default:
		s.home.log("content_log.txt", err.Error())
		s.refuse(appID, "Missing file permissions")
	}
}

func (s *session) refuse(app, why string) {
	s.out.printf("ERROR! Failed to install app '%s' (%s)\n", app, why)
	s.failed(8)
}

// configured says whether the app counts as configured: it has a manifest, and
// where Steam no longer takes a stub for one, depots in it.
func (u *update) configured() bool {
	if u.m == nil {
		return false
	}
	if len(u.m.depots) > 0 {
		return true
	}
	_, refused := u.fault(atStub)
	return !refused
}

// run brings the install to the state that the platform asks for.
func (u *update) run(validate bool) error {
	var err error
	if u.m, err = readManifest(u.library); err != nil {
		return err
	}
	want := depotsFor(u.platform)
	// Since 2024 an anonymous account is shown no Linux depot, unless the app
	// already counts as configured.
	if want == nil || (u.platform == "linux" && u.account == "anonymous" && !u.configured()) {
		u.refuse(appID, "Invalid platform")
		return errStopped
	}
	if u.m == nil {
		u.m = &manifest{build: "0"}
	}
	if err := u.plan(want, validate); err != nil {
		return err
	}
	if len(u.missing) == 0 && !validate && u.m.flags == stateInstalled {
		u.out.printf("Success! App '%s' already up to date.\n", appID)
		return nil
	}
	if err := u.pass(); err != nil {
		return err
	}
	u.m.depots, u.m.size = want, 0
	for _, d := range want {
		u.m.size += d.size
	}
	u.m.flags, u.m.build, u.m.target = stateInstalled, u.build(), u.build()
	u.m.done = u.m.todo
	if err := u.m.write(u.library); err != nil {
		return err
	}
	u.home.log("content_log.txt", "AppID "+appID+" state changed : Fully Installed,")
	u.out.printf("Success! App '%s' fully installed.\n", appID)
	return nil
}

// plan finds the depots that have to be fetched: those not installed and, when
// validating, those with a file that is not as it should be.
func (u *update) plan(want []depot, validate bool) error {
	control, err := filepath.Abs(u.path)
	if err != nil {
		return fmt.Errorf("path of the control file: %w", err)
	}
	all, err := gameFiles(u.proc.Exe, installedSettings{Control: control, Embedded: u.control})
	if err != nil {
		return err
	}
	for _, d := range want {
		ours := slices.DeleteFunc(slices.Clone(all), func(f gameFile) bool { return f.depot != d.id })
		damaged := func(f gameFile) bool { return f.path != ControlName && !f.intact(u.dir) }
		if u.m.has(d) && u.m.build == u.build() && (!validate || !slices.ContainsFunc(ours, damaged)) {
			if err := u.refreshSettings(ours); err != nil {
				return err
			}
			continue
		}
		u.missing = append(u.missing, d)
		u.files = append(u.files, ours...)
		u.total += d.size
	}
	u.total = u.sized(u.total)
	return nil
}

// sized is how large the simulation says that a download is. What it writes is a
// few megabytes, so where the real game would not find room it plays a smaller
// one: whoever looks at the space would rightly refuse it. A disk that is too
// small even for those few megabytes is told the truth.
func (u *update) sized(total int64) int64 {
	if f, met := u.fault(everywhere); met && f.size > 0 {
		return total * f.size
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(u.library, &st); err != nil {
		return total
	}
	free := int64(st.Bavail) * st.Bsize
	for free > 64<<20 && total > free {
		total /= 10
	}
	return total
}

// refreshSettings brings the copy of the control file inside an installed game
// up to date. It is no part of the game: a change of it must not look like damage.
func (u *update) refreshSettings(files []gameFile) error {
	for _, f := range files {
		if f.path == ControlName && !f.intact(u.dir) {
			return f.put(filepath.Join(u.dir, f.path))
		}
	}
	return nil
}

// pass plays all phases of one platform pass.
func (u *update) pass() error {
	resumed := int64(0)
	if u.m.target == u.build() && u.m.todo == u.total && u.m.flags != stateInstalled {
		resumed = u.m.done
	}
	u.m.flags, u.m.target = stateUpdating, u.build()
	u.m.todo, u.m.done = u.total, resumed
	if err := u.m.write(u.library); err != nil {
		return err
	}
	u.home.log("content_log.txt", "AppID "+appID+" state changed : Update Required,Update Started,")
	phases := []phase{
		{code: 0x3, words: "reconfiguring", steps: 1, each: 400},
		{code: 0x5, words: "verifying install", total: u.m.size, steps: u.steps(u.m.size, 8), each: 250},
		{code: 0x11, words: "preallocating", total: u.total, steps: u.steps(u.total, 6), each: 200},
		{code: 0x61, words: "downloading", total: u.total, from: resumed, steps: u.steps(u.total, 40), each: 450, at: atDownload, step: u.download},
		{code: 0x81, words: "verifying update", total: u.total, steps: u.steps(u.total, 8), each: 250},
		{code: 0x101, words: "committing", total: u.total - u.total/64, steps: u.steps(u.total, 5), each: 200, at: atCommit, step: u.commit},
		{code: 0x0, words: "unknown", steps: 1, each: 100},
	}
	for _, p := range phases {
		if err := u.play(p); err != nil {
			return err
		}
	}
	return os.RemoveAll(u.staging(""))
}

// steps is how many progress lines a phase over so many bytes gets: n for the
// whole game, fewer for little, one for nothing.
func (u *update) steps(bytes int64, n int) int {
	switch {
	case bytes == 0:
		return 1
	case bytes < 1<<30:
		return max(2, n/4)
	}
	return n
}

// phase is one part of a pass: steps lines, one every so many milliseconds.
type phase struct {
	code        int
	words       string
	total, from int64
	steps       int
	each        int
	at          moment
	step        func(share float64) error // does the phase's work up to share
}

func (u *update) play(p phase) error {
	fault, met := u.fault(p.at)
	for i := 1; i <= p.steps; i++ {
		share := uneven(i, p.steps)
		done := p.from + int64(share*float64(p.total-p.from))
		if met && share >= fault.share {
			return u.stop(fault)
		}
		if p.step != nil {
			if err := p.step(float64(done) / float64(max(p.total, 1))); err != nil {
				return err
			}
		}
		u.progress(p, done)
		u.pause(p.each)
	}
	return nil
}

// uneven is i/n, bent a little so that the speed is not the same all the time.
func uneven(i, n int) float64 {
	bend := []float64{0.35, -0.2, 0, 0.4, -0.35, 0.1}
	if i == n {
		return 1
	}
	return (float64(i) + bend[i%len(bend)]) / float64(n)
}

func (u *update) progress(p phase, done int64) {
	percent := 0.0
	if p.total > 0 {
		percent = float64(done) * 100 / float64(p.total)
	}
	text := fmt.Sprintf("%.2f", percent)
	if f, met := u.fault(everywhere); met && f.comma {
		text = strings.Replace(text, ".", ",", 1)
	}
	u.out.printf(" Update state (0x%x) %s, progress: %s (%d / %d)\n", p.code, p.words, text, done, p.total)
}

// stop is where a scenario hits: the manifest keeps what was reached.
func (u *update) stop(f scenario) error {
	if f.hang {
		hang()
	}
	u.m.flags = f.flags
	if err := u.m.write(u.library); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	u.out.print(strings.ReplaceAll(f.line, "$APP", appID) + "\n")
	u.home.log("content_log.txt", fmt.Sprintf("AppID %s update canceled : state 0x%x", appID, f.flags))
	if f.status != 0 {
		u.failed(f.status)
	}
	return errStopped
}

// hang waits for a signal to end the process.
func hang() {
	for {
		time.Sleep(time.Hour)
	}
}

func (u *update) staging(path string) string {
	return filepath.Join(u.library, "steamapps", "downloading", appID, filepath.FromSlash(path))
}

// download lands files in the staging directory and notes in the manifest how
// far it is, so that the next run goes on from there.
func (u *update) download(share float64) error {
	for ; u.staged < int(share*float64(len(u.files))); u.staged++ {
		f := u.files[u.staged]
		if f.intact(u.staging("")) {
			continue
		}
		if err := f.put(u.staging(f.path)); err != nil {
			return err
		}
	}
	u.m.done = int64(share * float64(u.total))
	return u.m.write(u.library)
}

// commit moves staged files into place. A file that an earlier run has moved
// already is not staged any more.
func (u *update) commit(share float64) error {
	for ; u.committed < int(share*float64(len(u.files))); u.committed++ {
		f := u.files[u.committed]
		to := filepath.Join(u.dir, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		err := os.Rename(u.staging(f.path), to)
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && f.intact(u.dir)) {
			return err
		}
	}
	return nil
}

// intact says whether the file stands below dir as it should.
func (f gameFile) intact(dir string) bool {
	path := filepath.Join(dir, filepath.FromSlash(f.path))
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != fs.FileMode(f.mode) {
		return false
	}
	if f.from != "" {
		return sameContent(path, f.from)
	}
	b, err := os.ReadFile(path)
	return err == nil && bytes.Equal(b, f.content)
}

func (f gameFile) put(path string) error {
	if f.from != "" {
		return copyFile(path, f.from, fs.FileMode(f.mode))
	}
	return writeFile(path, f.content, fs.FileMode(f.mode))
}
