package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata run the real l4d2ctl over the real rootless supervisor
// with the simulated Steam. As root they run twice: as root, who must give root
// up by itself, and as an ordinary user.

// binVariable names the directory of the programs under test for the second run.
const binVariable = "L4D2CTL_TEST_BIN"

// secondVariable marks the run as an ordinary user that follows one as root.
const secondVariable = "L4D2CTL_TEST_SECOND"

// nobody is the ordinary user of the second run.
const nobody = 65534

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if os.Getenv(binVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "l4d2ctl-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // the ordinary user comes by here
	}
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(binVariable, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	cmd := exec.Command("go", "build", "-o", dir+"/", "left4me/cmd/l4d2ctl", "left4me/cmd/steamsim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs under test: %w\n%s", err, out)
	}
	return nil
}

func TestScripts(t *testing.T) {
	if os.Geteuid() != 0 {
		runScripts(t, "testdata")
		return
	}
	t.Run("as root", func(t *testing.T) { runScripts(t, "testdata") })
	t.Run("as nobody", runAsNobody)
}

// runAsNobody runs this test binary again as an ordinary user. The sources may
// lie where that user cannot look.
func runAsNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "l4d2ctl-scripts-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a leftover in the temporary folder hurts nobody
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestScripts$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"), secondVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    cmdExits,
			"expand":   cmdExpand,
			"mounts":   cmdMounts,
			"ports":    cmdPorts,
			"eventual": cmdEventual,
			"lasts":    cmdLast,
			"killgame": cmdKillGame,
			"holdport": cmdHoldPort,
			"holdlock": cmdHoldLock,
			"argv":     cmdArgv,
			"signal":   cmdSignal,
			"needroot": cmdNeedRoot,
			"uid":      cmdUID,
			"makevpk":  cmdMakeVPK,
			"cutfile":  cmdCutFile,
		},
	})
}

// setUp gives a script its state root in $ROOT, and takes down what it left.
func setUp(env *testscript.Env) error {
	bin := os.Getenv(binVariable)
	root := filepath.Join(env.WorkDir, "root")
	env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	env.Setenv("ROOT", root)
	env.Setenv("LEFT4ME_ROOT", root)
	env.Defer(func() {
		root := env.Getenv("ROOT") // a script may have chosen another
		entries, err := os.ReadDir(filepath.Join(root, "runtime"))
		if err != nil {
			return // nothing ever ran
		}
		for _, e := range entries {
			cmd := exec.Command(filepath.Join(bin, "l4d2ctl"), "--root", root, "--wait", "20s", "delete", e.Name())
			if out, err := cmd.CombinedOutput(); err != nil {
				env.T().Log("clean up: ", err, string(out))
			}
		}
	})
	return nil
}

// exits CODE PROGRAM ARGS...: the program ends with exactly that code.
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// expand FROM TO: copies a file with $VARIABLES replaced.
func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: expand FROM TO")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[1])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

// mounts remember, mounts same: this process's mount table.
func cmdMounts(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(".mounts")
	now, err := os.ReadFile("/proc/self/mountinfo")
	ts.Check(err)
	if slices.Equal(args, []string{"remember"}) {
		ts.Check(os.WriteFile(file, now, 0o644))
		return
	}
	if then := ts.ReadFile(file); then != string(now) {
		ts.Fatalf("the mount table changed from\n%s\nto\n%s", then, now)
	}
}

// ports NAME...: sets each variable to a port that is free for UDP and TCP. They
// lie below those that the kernel hands out by itself.
func cmdPorts(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Setenv(name, strconv.Itoa(freePort(ts)))
	}
}

func freePort(ts *testscript.TestScript) int {
	for range 100 {
		port := 28000 + rand.IntN(4700)
		address := fmt.Sprintf("0.0.0.0:%d", port)
		udp, err := net.ListenPacket("udp4", address)
		if err != nil {
			continue
		}
		tcp, err := net.Listen("tcp4", address)
		ts.Check(udp.Close())
		if err == nil {
			ts.Check(tcp.Close())
			return port
		}
	}
	ts.Fatalf("no free port")
	return 0
}

// eventual PATTERN PROGRAM ARGS...: the program prints PATTERN within 20 s.
func cmdEventual(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: eventual PATTERN PROGRAM ARGS...")
	}
	pattern := regexp.MustCompile(args[0])
	program, err := exec.LookPath(args[1])
	if err != nil {
		program = filepath.Join(os.Getenv(binVariable), args[1])
	}
	var out []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		cmd := exec.Command(program, args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = append(os.Environ(), "LEFT4ME_ROOT="+ts.Getenv("ROOT"))
		out, err = cmd.Output()
		if err == nil && pattern.Match(out) {
			ts.Check(ts.Exec(program, args[2:]...)) // for stdout and its like
			return
		}
	}
	ts.Fatalf("%v never printed %s; last it was %v\n%s", args[1:], args[0], err, out)
}

// lasts PATTERN: the last line of standard output matches.
func cmdLast(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimRight(ts.ReadFile("stdout"), "\n"), "\n")
	if last := lines[len(lines)-1]; !regexp.MustCompile(args[0]).MatchString(last) {
		ts.Fatalf("the last line is %s, want %s", last, args[0])
	}
}

// processOf is the process id that status gave on standard output.
func processOf(ts *testscript.TestScript) int {
	found := regexp.MustCompile(`"pid": ?([0-9]+)`).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("the last output has no pid: run status NAME --json first")
	}
	pid, err := strconv.Atoi(found[1])
	ts.Check(err)
	return pid
}

// killgame, killgame keeper: kills the process that the last status named, or
// its keeper.
func cmdKillGame(ts *testscript.TestScript, _ bool, args []string) {
	pid := processOf(ts)
	if slices.Equal(args, []string{"keeper"}) {
		pid = keeperOf(ts, pid)
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}

// keeperOf goes up to the first process of the game's PID namespace.
func keeperOf(ts *testscript.TestScript, pid int) int {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		ts.Check(err)
		nspid := regexp.MustCompile(`(?m)^NSpid:.*\t([0-9]+)$`).FindSubmatch(status)
		parent := regexp.MustCompile(`(?m)^PPid:\t([0-9]+)$`).FindSubmatch(status)
		if nspid == nil || parent == nil {
			ts.Fatalf("process %d has no parent in a namespace", pid)
		}
		if string(nspid[1]) == "1" {
			return pid
		}
		pid, err = strconv.Atoi(string(parent[1]))
		ts.Check(err)
	}
}

// argv WORDS...: the game that the last status named was started with these words.
func cmdArgv(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", processOf(ts)))
	ts.Check(err)
	words := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	if !slices.Equal(words[1:], args) {
		ts.Fatalf("argv is %q, want %q", words[1:], args)
	}
}

// holdport PORT, holdport udp PORT: another program has it until the script ends.
func cmdHoldPort(ts *testscript.TestScript, _ bool, args []string) {
	address := "0.0.0.0:" + args[len(args)-1]
	var held io.Closer
	var err error
	if args[0] == "udp" {
		held, err = net.ListenPacket("udp4", address)
	} else {
		held, err = net.Listen("tcp4", address)
	}
	ts.Check(err)
	ts.Defer(func() { _ = held.Close() }) // nothing was sent
}

// holdlock NAME: another operation holds the lock until the script ends.
func cmdHoldLock(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(ts.Getenv("ROOT"), "instances/.locks", args[0])
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	_, err = f.WriteAt([]byte(`{"pid":4711,"verb":"start","since":"2026-09-01T12:00:00Z"}`+"\n"+strings.Repeat(" ", 64)), 0)
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() }) // unlocks
}

// signal NAME: sends SIGTERM to the background command NAME.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// needroot WHY: fails where a skip for want of root would leave it untested.
func cmdNeedRoot(ts *testscript.TestScript, _ bool, args []string) {
	if os.Geteuid() != 0 && os.Getenv(secondVariable) == "" && os.Getenv("CI") != "" {
		ts.Fatalf("needs root %s", args[0])
	}
}

// uid N: the game that the last status named runs as that user and no other, and
// has no capability.
func cmdUID(ts *testscript.TestScript, _ bool, args []string) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", processOf(ts)))
	ts.Check(err)
	for _, want := range []string{"Uid:\t" + strings.Join([]string{args[0], args[0], args[0], args[0]}, "\t"), "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} {
		if !strings.Contains(string(status), want) {
			ts.Fatalf("no %q in\n%s", want, status)
		}
	}
}
