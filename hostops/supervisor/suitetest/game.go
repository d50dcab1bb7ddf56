package suitetest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// Game is the game: its arguments are what it does, one after the other, such as
// "print:hello" "write:cfg/x=text" "wait". It returns its exit code.
//
//	print:TEXT   one line           part:TEXT   without a line end
//	raw:"\x00"   a quoted string     flood:N     N lines
//	argv         its argv, quoted
//	read:PATH    prints the content or the error
//	write:P=T    writes T to P, prints the error
//	remove:PATH  removes a tree
//	child        leaves a process behind that ignores every signal but SIGKILL
//	attack:FILE  see attack.go      forkbomb    as many processes as it can have
//	once:FILE    goes on the first time, and the second time exits 0
//	wait         until SIGINT       deaf        for ever, ignoring SIGINT
//	usr1         until SIGUSR1
//	exit:N       ends               abort       ends by SIGKILL
func Game(args []string) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGUSR1)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, a := range args {
		verb, arg, _ := strings.Cut(a, ":")
		switch verb {
		case "print":
			fmt.Fprintln(out, arg)
		case "part":
			fmt.Fprint(out, arg)
		case "raw":
			text, _ := strconv.Unquote(arg) // empty for nonsense
			fmt.Fprint(out, text)
		case "argv":
			fmt.Fprintf(out, "argv %q\n", os.Args)
		case "flood":
			flood(out, arg)
		case "child":
			leaveChild(out)
		case "once":
			if _, err := os.Stat(arg); err == nil {
				return 0
			}
			fileAct(out, "write", arg+"=")
		case "forkbomb":
			forkBomb(out)
		case "attack":
			attack(out, arg)
		case "wait":
			out.Flush()
			<-signals
			fmt.Fprintln(out, "interrupted")
			return 0
		case "deaf":
			out.Flush()
			for {
				<-signals
			}
		case "exit":
			n, _ := strconv.Atoi(arg) // 0 for nonsense is fine in a test's own game
			return n
		case "abort":
			out.Flush()
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // cannot fail
		case "usr1":
			out.Flush()
			<-again
		default:
			fileAct(out, verb, arg)
		}
		out.Flush()
	}
	return 0
}

func fileAct(out *bufio.Writer, verb, arg string) {
	var err error
	switch verb {
	case "read":
		var b []byte
		if b, err = os.ReadFile(arg); err == nil {
			fmt.Fprintf(out, "content of %s: %q\n", arg, b)
		}
	case "write":
		path, text, _ := strings.Cut(arg, "=")
		err = os.WriteFile(path, []byte(text), 0o644)
	case "remove":
		err = os.RemoveAll(arg)
	default:
		err = fmt.Errorf("unknown verb %q", verb)
	}
	if err != nil {
		fmt.Fprintln(out, "error:", err)
	}
}

func flood(out *bufio.Writer, arg string) {
	n, _ := strconv.Atoi(arg) // no lines for nonsense
	for i := range n {
		fmt.Fprintf(out, "flood line %d\n", i)
	}
	fmt.Fprintln(out, "flood over")
}

// leaveChild starts a process in a session of its own that outlives its parent
// if nobody takes care of it.
func leaveChild(out *bufio.Writer) {
	cmd := exec.Command("/bin/sh", "-c", `trap "" INT TERM HUP; while :; do sleep 100; done`)
	cmd.Args[0] = "left-behind-" + strconv.Itoa(os.Getuid())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(out, "error:", err)
		return
	}
	fmt.Fprintln(out, "child", cmd.Process.Pid)
}

// forkBomb starts processes until it may not, and says how many it got.
func forkBomb(out *bufio.Writer) {
	for n := 0; ; n++ {
		cmd := exec.Command("/bin/sleep", "100")
		if err := cmd.Start(); err != nil || n > 20000 {
			fmt.Fprintf(out, "processes %d\n", n)
			return
		}
	}
}
