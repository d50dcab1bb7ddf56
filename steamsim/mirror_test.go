package steamsim

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func (s *shop) release(n int, gone ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Mirror = MirrorControl{Release: n, Gone: gone}
}

// mirrored gets https://… through the mirror and follows its redirects.
func (s *shop) mirrored(address string) []byte {
	s.Helper()
	path := strings.ReplaceAll(strings.Replace(address, "https://", "/https/", 1), " ", "%20")
	for range 3 {
		resp, b := s.get(path)
		if resp.StatusCode == 302 {
			path = resp.Header.Get("Location")
			continue
		}
		if resp.StatusCode != 200 {
			s.Fatalf("%s: %s", address, resp.Status)
		}
		return b
	}
	s.Fatalf("%s: too many redirects", address)
	return nil
}

func untar(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = string(content)
		}
	}
}

func TestDropSites(t *testing.T) {
	s := newShop(t)
	for latest, want := range map[string]string{
		"https://mms.alliedmods.net/mmsdrop/1.12/mmsource-latest-linux": "addons/metamod/bin/server.so",
		"https://sm.alliedmods.net/smdrop/1.12/sourcemod-latest-linux":  "addons/sourcemod/plugins/basecommands.smx",
		"https://sm.alliedmods.net/smdrop/1.11/sourcemod-latest-linux":  "addons/sourcemod/bin/sourcemod_mm_i486.so",
		"https://mms.alliedmods.net/mmsdrop/1.11/mmsource-latest-linux": "addons/metamod.vdf",
	} {
		s.release(1)
		name := string(s.mirrored(latest))
		dir := latest[:strings.LastIndexByte(latest, '/')+1]
		if files := untar(t, s.mirrored(dir+name)); files[want] == "" {
			t.Errorf("%s%s lacks %s", dir, name, want)
		}
		s.release(2)
		newer := string(s.mirrored(latest))
		s.mirrored(dir + name) // the older build stays
		if newer == name {
			t.Errorf("release 2 is still %s", name)
		}
	}
	if resp, _ := s.get("/https/sm.alliedmods.net/smdrop/1.12/sourcemod-1.12.0-git9999-linux.tar.gz"); resp.StatusCode != 404 {
		t.Errorf("a build that never was: %s", resp.Status)
	}
}

func TestReleasesOnGitHub(t *testing.T) {
	s := newShop(t)
	s.release(3)
	var latest struct {
		Tag    string `json:"tag_name"`
		Assets []struct {
			Name string `json:"name"`
			URL  string `json:"browser_download_url"`
		} `json:"assets"`
	}
	if err := json.Unmarshal(s.mirrored("https://api.github.com/repos/SirPlease/L4D2-Competitive-Rework/releases/latest"), &latest); err != nil {
		t.Fatal(err)
	}
	if latest.Tag != "v1.2.0" || len(latest.Assets) != 2 || latest.Assets[0].Name != "L4D2-Competitive-Rework-v1.2.0-linux.tar.gz" {
		t.Fatalf("latest: %+v", latest)
	}
	for _, u := range []string{
		latest.Assets[0].URL,
		"https://github.com/SirPlease/L4D2-Competitive-Rework/releases/latest/download/L4D2-Competitive-Rework-v1.2.0-linux.tar.gz",
		"https://github.com/SirPlease/L4D2-Competitive-Rework/releases/download/v1.0.0/L4D2-Competitive-Rework-v1.0.0-linux.tar.gz",
	} {
		files := untar(t, s.mirrored(u))
		if files["cfg/server.cfg"] == "" || files["cfg/cfgogl/zonemod/zonemod.cfg"] == "" || files["addons/l4dtoolz.vdf"] == "" {
			t.Errorf("%s holds %d files", u, len(files))
		}
	}
	if files := untar(t, s.mirrored("https://github.com/SirPlease/L4D2-Competitive-Rework/archive/refs/tags/v1.1.0.tar.gz")); files["L4D2-Competitive-Rework-1.1.0/cfg/server.cfg"] == "" {
		t.Errorf("the archive of a tag holds %d files", len(files))
	}
	if resp, _ := s.get("/https/github.com/SirPlease/L4D2-Competitive-Rework/releases/latest"); !strings.HasSuffix(resp.Header.Get("Location"), "/releases/tag/v1.2.0") {
		t.Errorf("latest goes to %q", resp.Header.Get("Location"))
	}
	b := s.mirrored("https://github.com/accelerator74/Tickrate-Enabler/releases/download/build/Tickrate-Enabler-l4d2-linux-db72da3.zip")
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := z.Open("addons/tickrate_enabler.vdf"); err != nil {
		t.Error(err)
	} else {
		_ = f.Close() // it is there
	}
}

func TestMapCenter(t *testing.T) {
	s := newShop(t)
	var list []struct{ Name, MD5, Link string }
	type entry struct {
		Name string `json:"name"`
		Size int    `json:"size"`
		MD5  string `json:"md5"`
		Link string `json:"download_link"`
	}
	var entries []entry
	if err := json.Unmarshal(s.mirrored("https://l4d2center.com/maps/servers/index.json"), &entries); err != nil {
		t.Fatal(err)
	}
	csv := string(s.mirrored("https://l4d2center.com/maps/servers/index.csv"))
	spaces := false
	for _, e := range entries {
		if line := fmt.Sprintf("\n%s;%d;%s;%s\r\n", e.Name, e.Size, e.MD5, e.Link); !strings.Contains(csv, line) {
			t.Errorf("no %q in:\n%s", line, csv)
		}
		spaces = spaces || strings.Contains(e.Link, " ")
		name, content := stored7z(t, s.mirrored(e.Link))
		if sum := md5.Sum(content); name != e.Name || hex.EncodeToString(sum[:]) != e.MD5 || len(content) != e.Size {
			t.Errorf("%s: %s of %d bytes, want %+v", e.Link, name, len(content), e)
		}
		if len(unpack(t, content)) < 5 {
			t.Errorf("%s is no campaign", e.Name)
		}
		list = append(list, struct{ Name, MD5, Link string }{e.Name, e.MD5, e.Link})
	}
	if !strings.HasPrefix(csv, "Name;Size;MD5;") || len(list) != 8 || !spaces {
		t.Errorf("%d maps, an address with a space: %v:\n%s", len(list), spaces, csv)
	}
	s.release(2)
	later := string(s.mirrored("https://l4d2center.com/maps/servers/index.csv"))
	if strings.Contains(later, list[0].Name) || !strings.Contains(later, list[1].MD5) || strings.Contains(later, list[5].MD5) || !strings.Contains(later, list[5].Name) {
		t.Errorf("release 2 must lose the first, keep the second and change the sixth:\n%s\n%s", csv, later)
	}
}

// stored7z takes the one stored file out of a .7z, by the format's description.
func stored7z(t *testing.T, b []byte) (string, []byte) {
	t.Helper()
	if len(b) < 32 || !bytes.HasPrefix(b, []byte("7z\xbc\xaf\x27\x1c\x00\x04")) || binary.LittleEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[12:32]) {
		t.Fatalf("no 7z: %x", b[:min(32, len(b))])
	}
	offset, size := binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])
	content, end := b[32:32+offset], b[32+offset:]
	if uint64(len(end)) != size || binary.LittleEndian.Uint32(b[28:]) != crc32.ChecksumIEEE(end) {
		t.Fatalf("the end header has %d bytes, %d said", len(end), size)
	}
	at := bytes.Index(end, []byte{0x05, 0x01, 0x11}) // FilesInfo, one file, names
	if at < 0 {
		t.Fatalf("no name in %x", end)
	}
	var name []byte
	for raw := end[at+5:]; raw[0] != 0; raw = raw[2:] {
		name = append(name, raw[0])
	}
	return string(name), content
}

// The program that recipes use reads it too.
func Test7zReadsOurArchives(t *testing.T) {
	program := ""
	for _, name := range []string{"7z", "7zz", "7za"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		missing(t, "7z is not installed")
	}
	for _, size := range []int64{1, 127, 128, 20_000, 3 << 20} {
		content := new(blob)
		content.addNoise(newNoise(3), size)
		path := filepath.Join(t.TempDir(), "a.7z")
		if err := replace(path, 0o644, sevenZip("a map.vpk", content).reader()); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, "t", path).CombinedOutput(); err != nil || !strings.Contains(string(out), "Everything is Ok") {
			t.Errorf("%d bytes: %v\n%s", size, err, out)
		}
	}
}

// What a script fetches through a mirror names the real hosts, and is had at the
// mirror under their names.
func TestTheWorkshopThroughTheMirror(t *testing.T) {
	s := newShop(t)
	d := s.ask("/https/api.steampowered.com"+detailsPath, form("itemcount", 698857882)).Response.Details[0]
	u := d["file_url"].(string)
	if !strings.HasPrefix(u, "https://cdn.steamusercontent.com/ugc/") {
		t.Fatalf("file_url %s", u)
	}
	if files := unpack(t, s.mirrored(u)); len(files) < 3 {
		t.Errorf("%d files", len(files))
	}
	if resp, _ := s.get("/https/example.org/"); resp.StatusCode != 404 {
		t.Errorf("a host nobody mirrors: %s", resp.Status)
	}
	s.release(1, "cdn.steamusercontent.com")
	if resp, _ := s.get(strings.Replace(u, "https://", "/https/", 1)); resp.StatusCode != 404 {
		t.Errorf("a host that is gone: %s", resp.Status)
	}
}
