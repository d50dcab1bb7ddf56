package steamsim

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The sites that recipes fetch from, as a mirror has them: /https/HOST/PATH is
// what https://HOST/PATH is. Addresses inside the answers are those of the real
// sites, as with every mirror.

// MirrorControl chooses what the mirrored sites have.
type MirrorControl struct {
	// Release counts the releases: 2 is one later than 1. 0 is 1.
	Release int `json:"release,omitempty"`
	// Gone are hosts that answer 404 to everything.
	Gone []string `json:"gone,omitempty"`
}

// site is one mirrored host.
type site func(w *Web, rw http.ResponseWriter, r *http.Request, path string, release int)

var sites = map[string]site{
	"mms.alliedmods.net":              (*Web).dropSite,
	"sm.alliedmods.net":               (*Web).dropSite,
	"api.github.com":                  (*Web).githubAPI,
	"github.com":                      (*Web).github,
	"l4d2center.com":                  (*Web).mapCenter,
	"api.steampowered.com":            (*Web).mirroredAPI,
	"cdn.steamusercontent.com":        (*Web).mirroredFile,
	"steamusercontent-a.akamaihd.net": (*Web).mirroredFile,
}

func (w *Web) serveMirror(rw http.ResponseWriter, r *http.Request) {
	c, ok := w.read(rw)
	if !ok {
		return
	}
	host, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/https/"), "/")
	serve, ok := sites[host]
	for _, gone := range c.Mirror.Gone {
		ok = ok && gone != host
	}
	if !ok {
		nothing(rw)
		return
	}
	w.ranges.called("/https/" + host + "/" + path)
	serve(w, rw, r, "/"+path, max(c.Mirror.Release, 1))
}

func (w *Web) mirroredAPI(rw http.ResponseWriter, r *http.Request, path string, _ int) {
	w.answerAPI(rw, r, path, func(p string) string { return "https://cdn.steamusercontent.com" + p })
}

func (w *Web) mirroredFile(rw http.ResponseWriter, r *http.Request, path string, _ int) {
	w.answerFile(rw, r, path)
}

// send sends a file that was made for this answer.
func send(rw http.ResponseWriter, r *http.Request, kind string, content io.ReadSeeker, release int) {
	rw.Header().Set("Content-Type", kind)
	http.ServeContent(rw, r, "", releaseDay(release), content)
}

func sendText(rw http.ResponseWriter, r *http.Request, kind, text string, release int) {
	send(rw, r, kind, strings.NewReader(text), release)
}

func releaseDay(release int) time.Time {
	return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, 7*release)
}

var dropPath = regexp.MustCompile(`^/(mmsdrop|smdrop)/(1\.1[0-3])/([^/]+)$`)

// dropSite is an AlliedModders drop site: a file that names the latest build, and
// the builds.
func (w *Web) dropSite(rw http.ResponseWriter, r *http.Request, path string, release int) {
	m := dropPath.FindStringSubmatch(path)
	if m == nil {
		nothing(rw)
		return
	}
	product, first, files := "mmsource", 1200, metamodFiles
	if m[1] == "smdrop" {
		product, first, files = "sourcemod", 7240, sourcemodFiles
	}
	if m[3] == product+"-latest-linux" {
		sendText(rw, r, "text/plain", fmt.Sprintf("%s-%s.0-git%d-linux.tar.gz", product, m[2], first+release), release)
		return
	}
	for n := range release {
		version := fmt.Sprintf("%s.0-git%d", m[2], first+n+1)
		if m[3] == product+"-"+version+"-linux.tar.gz" {
			send(rw, r, "application/x-gzip", bytes.NewReader(tarOf("", files(version))), n+1)
			return
		}
	}
	nothing(rw)
}

const (
	reworkRepo   = "SirPlease/L4D2-Competitive-Rework"
	tickrateRepo = "accelerator74/Tickrate-Enabler"
	tickrateZIP  = "Tickrate-Enabler-l4d2-linux-db72da3.zip"
)

// tickrateAssets is everything in the one release of the Tickrate Enabler.
var tickrateAssets = []string{"Tickrate-Enabler-l4d-linux-db72da3.zip", tickrateZIP, "Tickrate-Enabler-l4d2-win-db72da3.zip"}

func reworkTag(release int) string { return fmt.Sprintf("v1.%d.0", release-1) }

func reworkArchive(tag string) string { return "L4D2-Competitive-Rework-" + tag + "-linux.tar.gz" }

func reworkZIP(tag string) string { return "L4D2-Competitive-Rework-" + tag + "-windows.zip" }

// githubAPI answers about the releases of the two repositories.
func (w *Web) githubAPI(rw http.ResponseWriter, r *http.Request, path string, release int) {
	describe := func(repo, tag string, n int, files ...string) map[string]any {
		var assets []map[string]any
		for _, file := range files {
			assets = append(assets, map[string]any{
				"name": file, "content_type": "application/octet-stream", "state": "uploaded",
				"browser_download_url": "https://github.com/" + repo + "/releases/download/" + tag + "/" + file,
			})
		}
		return map[string]any{
			"tag_name": tag, "name": tag, "draft": false, "prerelease": false, "published_at": releaseDay(n).Format(time.RFC3339),
			"html_url":    "https://github.com/" + repo + "/releases/tag/" + tag,
			"tarball_url": "https://api.github.com/repos/" + repo + "/tarball/" + tag,
			"assets":      assets,
		}
	}
	var all []map[string]any
	var rest string
	if after, ok := strings.CutPrefix(path, "/repos/"+reworkRepo+"/releases"); ok {
		rest = after
		for n := release; n >= 1; n-- {
			all = append(all, describe(reworkRepo, reworkTag(n), n, reworkArchive(reworkTag(n)), reworkZIP(reworkTag(n))))
		}
	} else if after, ok := strings.CutPrefix(path, "/repos/"+tickrateRepo+"/releases"); ok {
		rest = after
		all = append(all, describe(tickrateRepo, "build", 1, tickrateAssets...))
	}
	tag, tagged := strings.CutPrefix(rest, "/tags/")
	for _, one := range all {
		if rest == "/latest" || (tagged && one["tag_name"] == tag) {
			writeJSON(rw, one)
			return
		}
	}
	if rest == "" && all != nil {
		writeJSON(rw, all)
		return
	}
	rw.WriteHeader(http.StatusNotFound)
	writeJSON(rw, map[string]string{"message": "Not Found"})
}

// github serves the files of releases, and redirects "latest" to the release's
// page, as the real one does.
func (w *Web) github(rw http.ResponseWriter, r *http.Request, path string, release int) {
	elsewhere := func(p string) {
		rw.Header().Set("Location", "/https/github.com"+p)
		rw.WriteHeader(http.StatusFound)
	}
	switch path {
	case "/" + tickrateRepo + "/releases/latest":
		elsewhere("/" + tickrateRepo + "/releases/tag/build")
		return
	case "/" + tickrateRepo + "/releases/tag/build":
		page(rw, http.StatusOK, "Release build", "")
		return
	case "/" + reworkRepo + "/releases/latest":
		elsewhere("/" + reworkRepo + "/releases/tag/" + reworkTag(release))
		return
	case "/" + reworkRepo + "/archive/refs/heads/master.tar.gz":
		send(rw, r, "application/x-gzip", bytes.NewReader(tarOf("L4D2-Competitive-Rework-master/", reworkFiles("master"))), release)
		return
	}
	if file, ok := strings.CutPrefix(path, "/"+tickrateRepo+"/releases/download/build/"); ok && slices.Contains(tickrateAssets, file) {
		send(rw, r, "application/zip", bytes.NewReader(zipOf(tickrateFiles()...)), 1)
		return
	}
	if file, ok := strings.CutPrefix(path, "/"+reworkRepo+"/releases/latest/download/"); ok {
		elsewhere("/" + reworkRepo + "/releases/download/" + reworkTag(release) + "/" + file)
		return
	}
	for n := 1; n <= release; n++ {
		tag := reworkTag(n)
		switch path {
		case "/" + reworkRepo + "/releases/download/" + tag + "/" + reworkArchive(tag):
			send(rw, r, "application/x-gzip", bytes.NewReader(tarOf("", reworkFiles(tag))), n)
			return
		case "/" + reworkRepo + "/releases/download/" + tag + "/" + reworkZIP(tag):
			send(rw, r, "application/zip", bytes.NewReader(zipOf(reworkFiles(tag)...)), n)
			return
		case "/" + reworkRepo + "/archive/refs/tags/" + tag + ".tar.gz":
			send(rw, r, "application/x-gzip", bytes.NewReader(tarOf("L4D2-Competitive-Rework-"+tag[1:]+"/", reworkFiles(tag))), n)
			return
		case "/" + reworkRepo + "/releases/tag/" + tag:
			page(rw, http.StatusOK, "Release "+tag, "")
			return
		}
	}
	nothing(rw)
}

// centerMap is one entry of l4d2center's list.
type centerMap struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	MD5  string `json:"md5"`
	Link string `json:"download_link"`

	item item
}

// centerMaps is the list: eight small campaigns. With each release one is
// updated, one leaves and one comes. The name of the third has a space.
func centerMaps(release int) []centerMap {
	var list []centerMap
	for i := range 8 {
		id := uint64(firstMade + 60_000 + release + i)
		it, _ := findItem(id, 1)
		it.kind, it.size, it.title = kindCampaign, 120_000+int64(mix(id, 7)%900_000), pick(placeFirst, id, 3)+" "+pick(placeSecond, id, 4)
		if i == 4 {
			it.revision = release
		}
		it.missions = it.makeMissions()
		name := it.slug()
		if id%8 == 3 {
			name += " final"
		}
		list = append(list, centerMap{Name: name + ".vpk", Link: "https://l4d2center.com/maps/servers/" + name + ".7z", item: it})
	}
	return list
}

// mapCenter is the map list of l4d2center in both its forms, and the archives.
func (w *Web) mapCenter(rw http.ResponseWriter, r *http.Request, path string, release int) {
	const dir = "/maps/servers/"
	list := centerMaps(release)
	switch path {
	case dir + "index.json":
		measure(list)
		writeJSON(rw, list)
		return
	case dir + "index.csv":
		measure(list)
		out := "Name;Size;MD5;Download link\r\n"
		for _, m := range list {
			out += fmt.Sprintf("%s;%d;%s;%s\r\n", m.Name, m.Size, m.MD5, m.Link)
		}
		sendText(rw, r, "text/csv", out, release)
		return
	}
	for _, m := range list {
		if link, err := url.Parse(m.Link); err == nil && link.Path == path {
			send(rw, r, "application/x-7z-compressed", sevenZip(m.Name, m.item.content()).reader(), release)
			return
		}
	}
	nothing(rw)
}

func measure(list []centerMap) {
	for i := range list {
		b := list[i].item.content()
		sum := md5.New()
		_, _ = io.Copy(sum, b.reader()) // neither side fails
		list[i].Size, list[i].MD5 = b.size, hex.EncodeToString(sum.Sum(nil))
	}
}
