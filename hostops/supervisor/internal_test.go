package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// What cannot be switched off for real here is asked of the sentences' source.
func TestFailureSentences(t *testing.T) {
	tests := map[string]struct {
		err  error
		kind error
		text string
	}{
		"namespaces at zero":   {namespaceFailure(unix.ENOSPC, confine.Knobs{MaxUser: "0"}), ctl.ErrNoNamespaces, "sysctl -w user.max_user_namespaces"},
		"namespaces used up":   {namespaceFailure(unix.ENOSPC, confine.Knobs{MaxUser: "5"}), ctl.ErrNoNamespaces, "is 5"},
		"Debian's switch":      {namespaceFailure(unix.EPERM, confine.Knobs{UnprivUser: "0"}), ctl.ErrNoNamespaces, "sysctl -w kernel.unprivileged_userns_clone=1"},
		"container":            {namespaceFailure(unix.EPERM, confine.Knobs{}), ctl.ErrNoNamespaces, "seccomp"},
		"kernel without":       {namespaceFailure(unix.EINVAL, confine.Knobs{}), ctl.ErrNoNamespaces, "CONFIG_USER_NS"},
		"Ubuntu's AppArmor":    {mountFailure("x", unix.EACCES, confine.Knobs{AppArmor: "1"}), ctl.ErrNoNamespaces, "apparmor_restrict_unprivileged_userns=0"},
		"AppArmor and overlay": {overlayFailure(unix.EPERM, "ext4", confine.Knobs{AppArmor: "1"}), ctl.ErrNoNamespaces, "AppArmor"},
		"old kernel":           {overlayFailure(unix.EPERM, "ext4", confine.Knobs{}), ctl.ErrNoOverlayFS, "Linux 5.11"},
		"no overlayfs":         {overlayFailure(unix.ENODEV, "ext4", confine.Knobs{}), ctl.ErrNoOverlayFS, "modprobe overlay"},
		"upper on NFS":         {overlayFailure(unix.EINVAL, "NFS", confine.Knobs{}), ctl.ErrNoOverlayFS, "NFS"},
		"disk full":            {overlayFailure(unix.ENOSPC, "ext4", confine.Knobs{}), ctl.ErrDiskFull, "free some space"},
	}
	for name, tt := range tests {
		if !errors.Is(tt.err, tt.kind) || !strings.Contains(tt.err.Error(), tt.text) {
			t.Errorf("%s: %v, want %v with %q", name, tt.err, tt.kind, tt.text)
		}
		// It arrives on the other side as it left.
		far := (&reportError{Code: ctl.ExitCode(tt.err), Text: tt.err.Error()}).err()
		if !errors.Is(far, tt.kind) || far.Error() != tt.err.Error() {
			t.Errorf("%s: arrives as %v", name, far)
		}
	}
}

// A keeper that was killed in the middle of a write leaves half a line. It is cut
// off, its number is given to the next line, and no reader ever saw it.
func TestLogGoesOnBehindHalfALine(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "runtime", "half", dirLog)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const stamp = "2026-01-02T03:04:05.678901234Z "
	content := stamp + "ten\n" + stamp + "eleven\n" + stamp + "twel"
	if err := os.WriteFile(filepath.Join(dir, segmentName(10)), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Rootless{Root: root}
	read := func() string {
		t.Helper()
		var got []string
		err := r.Logs(context.Background(), "half", LogOptions{Lines: 10}, func(l LogLine) error {
			got = append(got, l.Cursor+" "+l.Text)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(got, "|")
	}
	if got := read(); got != "10 ten|11 eleven" {
		t.Errorf("before: %s", got)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	w, err := openLog(d, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.add("thirteen takes the place of twelve")
	w.close()
	if got := read(); got != "10 ten|11 eleven|12 thirteen takes the place of twelve" {
		t.Errorf("after: %s", got)
	}
}

// A disk that hangs costs lines, not the game.
func TestLogNeverWaits(t *testing.T) {
	w := &logWriter{wake: make(chan struct{}, 1)} // nobody takes lines from it
	line := strings.Repeat("x", 8000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			w.add(line)
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("adding lines waits")
	}
	if w.bytes > maxPending+len(line)+64 || int(w.dropped)+len(w.pending) != 2000 || w.dropped == 0 {
		t.Errorf("%d bytes and %d lines are kept, %d dropped", w.bytes, len(w.pending), w.dropped)
	}
}

// Without inotify, as when the user's instances are used up, following still works.
func TestFollowWithoutInotify(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w := watch{}
	if err := w.wait(ctx); err != nil {
		t.Errorf("the poll ends with %v", err)
	}
	cancel()
	if err := w.wait(ctx); !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestRestartWindowForgets(t *testing.T) {
	now := time.Now()
	starts := []time.Time{now.Add(-time.Hour), now.Add(-2 * time.Minute), now.Add(-time.Second)}
	for window, want := range map[time.Duration]int{0: 3, time.Minute: 1, 10 * time.Minute: 2} {
		if got := len(recent(starts, window)); got != want {
			t.Errorf("window %s: %d, want %d", window, got, want)
		}
	}
}

func ExampleRootless_statusOfAServerThatNeverRan() {
	r := &Rootless{Root: os.TempDir()}
	i, err := r.Status(context.Background(), "never-started")
	fmt.Println(i.State, err)
	// Output: stopped <nil>
}
