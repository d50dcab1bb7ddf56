package steam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Method is a way to get the files.
type Method string

// The methods. Auto begins with the one that worked last on this host and goes on
// in the order that costs least.
const (
	MethodAuto   Method = "auto"
	MethodUpdate Method = "update" // what is installed already is checked and updated
	MethodSeed   Method = "seed"   // a stub manifest, then the Linux files directly
	MethodFlip   Method = "flip"   // the Windows files first, then the Linux ones over them
	MethodLogin  Method = "login"  // the Linux files, as an account that owns the game
)

// Options is one installation. Every path is absolute.
type Options struct {
	Steamcmd string // steamcmd.sh
	Home     string // steamcmd's HOME; kept between runs, since an empty one fails at first
	Dir      string // where the game goes
	Method   Method
	Emit     func(ctl.Event)
	Stderr   io.Writer // receives steamcmd's standard error, unchanged but for secrets

	Verb    string        // what others are told while this holds Steam's folder
	Wait    time.Duration // how long to wait for another that holds it
	Tries   int           // of a method that ends in "Missing configuration"; 0 is 3
	Pause   time.Duration // between those
	Grace   time.Duration // steamcmd may take this long to end when asked; 0 is 10 s
	Silence time.Duration // without output for so long steamcmd hangs; 0 is 20 min

	login *Login                           // nil when none is kept
	held  []*os.File                       // locks that steamcmd inherits
	free  func(path string) (int64, error) // FreeBytes
}

// pass is one app_update.
type pass struct {
	platform string
	validate bool
}

var passes = map[Method][]pass{
	MethodUpdate: {{"linux", true}},
	MethodSeed:   {{"linux", true}},
	MethodLogin:  {{"linux", true}},
	// Checking a foreign platform's files was itself seen to fail, so only the
	// second pass does.
	MethodFlip: {{"windows", false}, {"linux", true}},
}

// Install brings the game in o.Dir up to date and makes steamclient.so reachable
// for it. Success is steamcmd's success line for the last pass and the files,
// whatever its exit code. Errors are *Failure, or of ctx.
func Install(ctx context.Context, o Options) (notices []string, err error) {
	o = o.withDefaults()
	if err := o.prepare(); err != nil {
		return nil, err
	}
	held, release, err := o.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	o.held = held
	if err := o.limited(time.Now()); err != nil {
		return nil, err
	}
	say := func(notice string) {
		o.log(ctl.StreamCtl, notice)
		notices = append(notices, notice)
	}
	if o.login, err = readLogin(o.Home); err != nil {
		if o.Method == MethodLogin {
			return nil, err
		}
		say(err.Error())
	}
	if notice := o.spaceNotice(); notice != "" {
		say(notice)
	}
	if err := o.tryMethods(ctx); err != nil {
		return notices, err
	}
	return notices, linkSDK(o.Home, o.Steamcmd, o.Dir)
}

// tryMethods goes through the methods until one works or fails in a way that no
// other would mend, and remembers what it learned.
func (o Options) tryMethods(ctx context.Context) error {
	list := o.methods()
	for i, method := range list {
		err := o.attempt(ctx, method)
		if err == nil {
			o.remember(func(m *memory) {
				if method != MethodUpdate {
					m.Method = method
				}
				if installed, err := ReadManifest(o.Dir); err == nil {
					m.Latest, m.Checked = fmt.Sprint(installed.BuildID), time.Now().UTC().Truncate(time.Second)
				}
			})
			return nil
		}
		var f *Failure
		if !errors.As(err, &f) {
			return err
		}
		o.noteLimit(f, time.Now())
		if !another(f.Kind) {
			return err
		}
		if i == len(list)-1 {
			if o.Method == MethodAuto && o.login == nil {
				f.say(f.Sentence + " If it stays so, give left4me a Steam account that owns the game: l4d2ctl steam login.")
			}
			return err
		}
		o.log(ctl.StreamCtl, fmt.Sprintf("The way %q did not work: %s", method, f.Sentence))
	}
	return nil // there always is a method
}

// another reports whether another method may succeed where one failed so.
func another(c Class) bool {
	return c == ClassMissingConfiguration || c == ClassInvalidPlatform || c == ClassLogin
}

func (o Options) withDefaults() Options {
	if o.Method == "" {
		o.Method = MethodAuto
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Silence == 0 {
		o.Silence = 20 * time.Minute
	}
	if o.free == nil {
		o.free = FreeBytes
	}
	return o
}

func (o Options) log(stream ctl.Stream, text string) {
	o.Emit(ctl.Event{Type: ctl.EventLog, At: time.Now().UTC(), Stream: stream, Text: text})
}

// prepare looks whether steamcmd is there and makes the folders that it expects.
func (o Options) prepare() error {
	info, err := os.Stat(o.Steamcmd)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notInstalled("steamcmd is not at %s: unpack https://steamcdn-a.akamaihd.net/client/installer/steamcmd_linux.tar.gz into %s, or say with --steamcmd where it is",
			o.Steamcmd, filepath.Dir(o.Steamcmd))
	case err != nil:
		return notInstalled("steamcmd at %s cannot be used (%v)", o.Steamcmd, err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return notInstalled("%s is not a program: steamcmd.sh is expected there, with the right to run it", o.Steamcmd)
	}
	dirs := []string{o.Home}
	if o.Dir != "" { // without steamapps some file systems make steamcmd fail with a disk error
		dirs = append(dirs, filepath.Join(o.Dir, "steamapps"))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		if unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
			return &Failure{
				Class: ctl.ErrSteam, Kind: ClassPermissions,
				Sentence: fmt.Sprintf("user %d may not write into %s, as steamcmd must: give it to that user with chown -R", os.Geteuid(), dir),
			}
		}
	}
	return nil
}

// methods is what to try, in order.
func (o Options) methods() []Method {
	if o.Method != MethodAuto {
		return []Method{o.Method}
	}
	list := []Method{MethodSeed, MethodFlip}
	if m, err := ReadManifest(o.Dir); err == nil && !m.Seeded() {
		list[0] = MethodUpdate
	}
	if o.login != nil {
		list = append(list, MethodLogin)
	}
	// An installed game is updated as it is, unless that takes an account.
	worked := recall(o.Home).Method
	if i := slices.Index(list, worked); i > 0 && (worked == MethodLogin || list[0] == MethodSeed) {
		list = slices.Insert(slices.Delete(list, i, i+1), 0, worked)
	}
	return list
}

// attempt runs one method, again only when Steam lacked the game's description,
// and once when the files that it brought were damaged: everything else is either
// final or for the caller to repeat.
func (o Options) attempt(ctx context.Context, method Method) error {
	if method == MethodLogin && o.login == nil {
		return &Failure{Class: ctl.ErrSteam, Kind: ClassLogin, Sentence: "left4me has no Steam account to sign in with: give it one with l4d2ctl steam login"}
	}
	if free, err := o.free(o.Dir); err == nil && free < hopeless {
		return &Failure{Sentence: tooSmall(o.Dir, linuxPassBytes+windowsPassBytes, free), Class: ctl.ErrDiskFull, Kind: ClassDiskFull}
	}
	if method == MethodSeed {
		if err := seedManifest(o.Dir); err != nil {
			return err
		}
	}
	run := once{Options: o, method: method, list: passes[method], try: 1}
	for ; ; run.try++ {
		err := run.run(ctx)
		var f *Failure
		if !errors.As(err, &f) || !run.again(f) {
			return err
		}
		o.log(ctl.StreamCtl, fmt.Sprintf("Try %d of %d failed: %s", run.try, o.Tries, f.Sentence))
		select {
		case <-ctx.Done():
			return cancelled()
		case <-time.After(o.Pause):
		}
	}
}

// once is one run of steamcmd of an attempt.
type once struct {
	Options
	method  Method
	list    []pass
	try     int
	checked bool   // everything was validated, since files were damaged
	why     string // there was another try
}

// again reports whether a failure is worth another try, and prepares that. One
// that is not, but was, need not be repeated by whoever called either.
func (r *once) again(f *Failure) bool {
	r.why = f.Sentence
	switch {
	case f.Kind == ClassBroken && !r.checked:
		r.checked = true
		r.list = slices.Clone(r.list)
		for i := range r.list {
			r.list[i].validate = true
		}
		return true
	case f.Kind == ClassBroken:
		f.Again = false
		f.say("Files of the update were missing or damaged, and again after all were checked. Look at the disk's health and the kernel's log, then install again.")
	case f.Kind == ClassMissingConfiguration && r.try < r.Tries:
		return true
	case f.Kind == ClassMissingConfiguration:
		f.Again = false
		f.say(fmt.Sprintf("Steam did not have the game's description at hand in %d tries. Install again later.", r.try))
	}
	return false
}

func (r *once) run(ctx context.Context) error {
	p := &Parser{Emit: r.Emit, Now: func() time.Time { return time.Now().UTC() }, Try: r.try, Tries: r.Tries, Why: r.why}
	for _, pass := range r.list {
		p.Platforms = append(p.Platforms, pass.platform)
	}
	commands := r.commands()
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	guard := &spaceGuard{o: r.Options, stop: stop}
	p.Total = guard.look
	logs := r.markLogs()
	end, err := r.steamcmd(running, stop, commands, p, lastInstall)
	if err != nil {
		return err
	}
	return r.judge(p, end, logs)
}

// commands is what steamcmd is told. The install directory must be named before
// the login, and without ShutdownOnFailedCommand a failed first pass would be
// followed by the second.
func (r *once) commands() [][]string {
	list := [][]string{{"@ShutdownOnFailedCommand", "1"}, {"@NoPromptForPassword", "1"}, {"force_install_dir", r.Dir}, r.loginCommand(r.method)}
	for _, p := range r.list {
		update := []string{"app_update", fmt.Sprint(AppID)}
		if p.validate {
			update = append(update, "validate")
		}
		list = append(list, []string{"@sSteamCmdForcePlatformType", p.platform}, update)
	}
	return append(list, []string{"quit"})
}

func (o Options) loginCommand(m Method) []string {
	if m == MethodLogin {
		return []string{"login", o.login.User, o.login.Password}
	}
	return []string{"login", "anonymous"}
}

func cancelled() error {
	return &Failure{
		Class: ctl.ErrCancelled, Again: true,
		Sentence: "The installation was cancelled. What was downloaded is kept; install again to go on.",
	}
}
