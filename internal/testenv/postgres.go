package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	postgresDSN string
	postgresPID int
	postgresErr error
	databases   int
)

// Postgres returns the address of a fresh, empty database on the private server.
func Postgres(t testing.TB) string {
	t.Helper()
	bin := postgresBin()
	if bin == "" {
		missing(t, "PostgreSQL (Debian package postgresql)")
	}
	mu.Lock()
	defer mu.Unlock()
	if postgresDSN == "" && postgresErr == nil {
		postgresErr = startPostgres(bin, servers(t))
	}
	if postgresErr != nil {
		t.Fatal(postgresErr)
	}
	databases++
	name := fmt.Sprintf("t%d", databases)
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	conn, err := pgx.Connect(ctx, postgresDSN)
	if err != nil {
		t.Fatalf("connect to the private PostgreSQL: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is pending
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	return strings.Replace(postgresDSN, "/postgres?", "/"+name+"?", 1)
}

// postgresBin is the folder of the newest server programs.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is fixed and valid
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// startPostgres makes and starts a cluster with durability off: the test's
// process is its whole life. mu is held.
func startPostgres(bin, base string) error {
	data := filepath.Join(base, "pg")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale")
	init.Dir = base
	init.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	cmd, err := start(filepath.Join(bin, "postgres"), "-D", data, "-k", base, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
	if err != nil {
		return err
	}
	postgresPID = cmd.Process.Pid
	closers = append(closers, func() {
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGINT) // fast shutdown; Pdeathsig does the rest
	})
	postgresDSN = "postgres://postgres@/postgres?host=" + base
	deadline := time.Now().Add(20 * time.Second)
	for {
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, postgresDSN)
		if err == nil {
			err = conn.Close(ctx)
		}
		stop()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the private PostgreSQL does not answer: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// PausePostgres freezes the private server and all its connections until resume
// is called: what a database that hangs looks like.
func PausePostgres(t testing.TB) (resume func()) {
	t.Helper()
	signal := func(sig syscall.Signal) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postgresPID, postgresPID))
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range append(strings.Fields(string(raw)), strconv.Itoa(postgresPID)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			_ = syscall.Kill(pid, sig) // a connection may have ended meanwhile
		}
	}
	signal(syscall.SIGSTOP)
	resume = sync.OnceFunc(func() { signal(syscall.SIGCONT) })
	t.Cleanup(resume)
	return resume
}
