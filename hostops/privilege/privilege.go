// Package privilege gives root away. A program that was started as root for
// rootless use calls Drop first thing in main and runs on as an ordinary user,
// with the same arguments and the same paths.
//
// It knows users, folders and mounts; it knows nothing of what the program does
// afterwards. Start at Drop.
package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// EnvUser names the user when Options does not.
const EnvUser = "LEFT4ME_USER"

// ServiceUser is the user that the package makes; root becomes it if it exists.
const ServiceUser = "left4me"

// Options says what the ordinary user must be able to use.
type Options struct {
	// User is a name or number. Empty means LEFT4ME_USER, else the owner of
	// StateRoot if that is not root, else left4me, else nobody.
	User string
	// StateRoot is made if it is missing. It is given to the user when it was
	// made just now, or is root's and holds nothing but what left4me keeps there.
	StateRoot string
	// Reach are folders and files that must be usable under their paths although
	// the user may not enter a folder above them, such as /root. The state root
	// and the running program are always among them. Of a folder that the user
	// may not enter itself, its programs are shown. What is missing is left out.
	Reach []string
	// OwnGroups lets the user have the groups that it is in, beside its primary
	// one: under systemd one of them opens the journal. Otherwise it has none.
	OwnGroups bool
}

// Drop makes an ordinary user of a process that runs as root, for good and for
// all it starts. For anyone else it does nothing and returns nil. As root it
// does not return unless it fails: the program begins again as that user. Its
// errors wrap ctl.ErrRoot and say what to do; the caller must end then, since
// some of the way may be gone already.
//
// Nothing but the user ids decides whether there is something to do, so nothing
// in the environment can skip it. Mounts are made in a mount namespace of the
// process's own; the host's table stays as it is.
func Drop(o Options) error {
	ruid, euid, suid := unix.Getresuid()
	if ruid != 0 && euid != 0 && suid != 0 {
		return nil
	}
	if euid != 0 {
		return refuse("it runs with a mixture of root's and another user's rights; start it as one user, without a setuid bit")
	}
	// Everything below concerns this thread alone until it executes the program.
	runtime.LockOSThread()
	if err := rawSetgroups(nil); err != nil {
		return refuse("the groups of root cannot be given up (%w)", err)
	}
	if o.StateRoot != "" {
		abs, err := filepath.Abs(o.StateRoot)
		if err != nil {
			return refuse("the state folder %s cannot be found (%w)", o.StateRoot, err)
		}
		o.StateRoot = abs
	}
	u, err := choose(o)
	if err != nil {
		return err
	}
	if err := giveState(o.StateRoot, u); err != nil {
		return err
	}
	if err := makeReachable(o, u); err != nil {
		return err
	}
	var groups []uint32
	if o.OwnGroups {
		if groups, err = groupsOf(u); err != nil {
			return refuse("the groups of %s cannot be found (%w)", u.name, err)
		}
	}
	return become(u, groups)
}

// how is the end of every refusal.
const how = "; make a user for it with `useradd --system --create-home --home-dir /var/lib/left4me left4me`, or run it as an existing one with `runuser -u NAME -- …`"

func refuse(format string, args ...any) error {
	return fmt.Errorf("left4me does not run as root: "+format+how+": %w", append(args, ctl.ErrRoot)...)
}

// account is the user to become.
type account struct {
	name, home string
	uid, gid   int
}

// choose finds the user to become.
func choose(o Options) (account, error) {
	for _, want := range []struct{ name, from string }{{o.User, "the user that was asked for"}, {os.Getenv(EnvUser), "the user in " + EnvUser}} {
		if want.name == "" {
			continue
		}
		a, err := lookup(want.name)
		if err != nil {
			return a, refuse("%s, %q, does not exist (%w)", want.from, want.name, err)
		}
		if a.uid == 0 {
			return a, refuse("%s, %q, is root itself", want.from, want.name)
		}
		return a, nil
	}
	var st unix.Stat_t
	if o.StateRoot != "" && unix.Stat(o.StateRoot, &st) == nil && st.Uid != 0 {
		if a, err := lookup(strconv.Itoa(int(st.Uid))); err == nil {
			return a, nil
		}
		return account{name: strconv.Itoa(int(st.Uid)), home: o.StateRoot, uid: int(st.Uid), gid: int(st.Gid)}, nil
	}
	for _, name := range []string{ServiceUser, "nobody"} {
		if a, err := lookup(name); err == nil && a.uid != 0 {
			return a, nil
		}
	}
	return account{}, refuse("there is neither a user left4me nor nobody on this machine")
}

// lookup finds a user by name or number.
func lookup(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		byID, ierr := user.LookupId(name)
		if ierr != nil {
			return account{}, err
		}
		u = byID
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return account{}, err
	}
	return account{name: u.Username, home: u.HomeDir, uid: uid, gid: gid}, nil
}

// groupsOf are the groups a user is in; an account without an entry is in none.
func groupsOf(u account) ([]uint32, error) {
	entry, err := user.LookupId(strconv.Itoa(u.uid))
	if err != nil {
		return nil, nil
	}
	ids, err := entry.GroupIds()
	if err != nil {
		return nil, err
	}
	var groups []uint32
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, err
		}
		if n != 0 { // root's group is given up, whatever /etc/group says
			groups = append(groups, uint32(n))
		}
	}
	return groups, nil
}

// rawSetgroups sets the supplementary groups of this thread. Go's own would do
// so in all of them, and a failed Drop should leave the others alone.
func rawSetgroups(groups []uint32) error {
	var first uintptr
	if len(groups) > 0 {
		first = uintptr(unsafe.Pointer(&groups[0]))
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), first, 0)
	runtime.KeepAlive(groups)
	if errno != 0 {
		return errno
	}
	return nil
}

// become takes on the user's ids for good and executes the program again.
func become(u account, groups []uint32) error {
	for c := uintptr(0); c < 64; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			break // beyond the last capability, or not ours to drop; they are all cleared below
		}
	}
	env := environment(u)
	if len(groups) > 0 {
		if err := rawSetgroups(groups); err != nil {
			return refuse("the groups of %s cannot be taken on here (%w)", u.name, err)
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(u.gid), uintptr(u.gid), uintptr(u.gid)); errno != 0 {
		return refuse("the group of %s cannot be taken on here (%w)", u.name, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(u.uid), uintptr(u.uid), uintptr(u.uid)); errno != 0 {
		return refuse("the user %s cannot be taken on here (%w)", u.name, errno)
	}
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) // empty already on any kernel we know
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		return refuse("the capabilities of root cannot be given up (%w)", err)
	}
	err := syscall.Exec("/proc/self/exe", os.Args, env)
	return refuse("the user %s may not execute this program (%w): its file must be readable and executable for everyone", u.name, err)
}

// environment is ours without what belongs to root.
func environment(u account) []string {
	env := make([]string, 0, len(os.Environ())+3)
	for _, e := range os.Environ() {
		k, _, _ := strings.Cut(e, "=")
		switch {
		case k == "HOME", k == "USER", k == "LOGNAME", k == "MAIL", k == "PWD", k == "OLDPWD", strings.HasPrefix(k, "SUDO_"), strings.HasPrefix(k, "XDG_"):
		case k == "TMPDIR" && !writable(e[len("TMPDIR="):], u):
		default:
			env = append(env, e)
		}
	}
	return append(env, "HOME="+u.home, "USER="+u.name, "LOGNAME="+u.name)
}

// writable says whether u may make files in dir.
func writable(dir string, u account) bool {
	ok := false
	asUser(u, func() { ok = unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil })
	return ok
}
