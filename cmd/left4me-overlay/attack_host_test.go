package main

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// attack_host_test.go: attacks with file systems and namespaces of the host.

// 64: a layer on a FUSE file system whose server never answers is refused
// before it is asked anything.
func TestAttackStoppedFUSE(t *testing.T) {
	server(t, "fuse", "64/v1")
	version(t, "64/v1", service)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR, 0)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no FUSE here:", err)
		}
		t.Skip("no FUSE here:", err)
	}
	defer unix.Close(fd)
	cmd := exec.Command("nsenter", "--target", "1", "--mount", "--", "mount", "-i", "-t", "fuse", "-o", "fd=3,rootmode=40000,user_id=3000,group_id=3000,allow_other", "stopped", at("overlays/64/v1"))
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "/dev/fuse")}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { onHost(t, "umount", "-i", "--lazy", at("overlays/64/v1")) })
	if r := want(t, 3, "mount", "fuse"); r.took.Seconds() > 2 {
		t.Errorf("took %s", r.took)
	}
}

// 74: from a mount namespace in which merged is not mounted, the service user
// cannot remove or replace it, which would take the host's mount away.
func TestAttackMountPointRemoved(t *testing.T) {
	server(t, "rmdir")
	want(t, 0, "mount", "rmdir")
	want(t, 0, "umount", "rmdir")
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; read x; exec setpriv --reuid=3000 --regid=3000 --clear-groups sh -c 'rmdir "+merged("rmdir")+" || mv "+merged("rmdir")+" "+at("runtime/rmdir/m2")+" || mv "+at("runtime/rmdir")+" "+at("runtime/r2")+" || echo none of them'")
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	buf := make([]byte, 64)
	if _, err := stdout.Read(buf); err != nil { // the namespace is made
		t.Fatal(err)
	}
	want(t, 0, "mount", "rmdir")
	_, err = stdin.Write([]byte("\n"))
	must(t, err)
	n, _ := stdout.Read(buf) // nothing read is a failure below
	if got := string(buf[:n]); got != "none of them\n" {
		t.Errorf("the service user could change the mount point: %q", got)
	}
	must(t, cmd.Wait())
	if m := mountsOf(t, "rmdir"); len(m) != 1 {
		t.Errorf("mounts: %+v", m)
	}
}

// 79, and the helper without what it needs: a wrong process 1 is refused.
func TestAttackWrongInit(t *testing.T) {
	server(t, "init")
	for name, args := range map[string][]string{
		"private PID namespace":                    {"unshare", "--pid", "--fork", "--mount-proc"},
		"private PID namespace, the host's /proc":  {"unshare", "--pid", "--fork"},
		"private user namespace":                   {"unshare", "--user", "--map-root-user"},
		"without the capability to ptrace process": {"setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"},
		"without the capability to mount":          {"setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runHelper(t, exec.Command(args[0], append(args[1:], shipped, "mount", "init")...))
			checkResult(t, 8, r, args)
		})
	}
	if m := mountsOf(t, "init"); len(m) != 0 {
		t.Errorf("mounts: %+v", m)
	}
}
