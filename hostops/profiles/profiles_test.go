package profiles

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

const (
	key   = "0123456789ABCDEF0123456789ABCDEF"
	alice = "76561197984957084"
	bob   = "76561197984957085"
)

func picturePNG(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewRGBA(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ask fetches from a Web API whose answer and avatars a test decides.
func ask(t *testing.T, dir string, api, avatars http.HandlerFunc) (got []ctl.Profile, said string, err error) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ISteamUser/GetPlayerSummaries/v2/", api)
	mux.HandleFunc("/a/", avatars)
	server := httptest.NewServer(mux)
	defer server.Close()
	err = Fetch(context.Background(), key, []string{alice, bob}, Options{
		API: server.URL, Dir: dir, Each: func(p ctl.Profile) { got = append(got, p) },
		Say: func(format string, args ...any) { said += fmt.Sprintf(format, args...) + "\n" },
	})
	return got, said, err
}

func answer(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		quoted, err := json.Marshal(name)
		if err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintf(w, `{"response":{"players":[
			{"steamid":%q,"personaname":%s,"avatarfull":"http://%s/a/alice"},
			{"steamid":"76561197999999999","personaname":"nobody asked for this one"},
			null,
			{"steamid":%q,"personaname":"bob"},
			{"steamid":%q,"personaname":"bob again"}]}}`, alice, quoted, r.Host, bob, bob)
	}
}

func TestFetch(t *testing.T) {
	dir, pic := filepath.Join(t.TempDir(), "avatars"), picturePNG(t)
	avatar := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(pic) }
	for range 2 { // the second time everything is there
		got, said, err := ask(t, dir, func(w http.ResponseWriter, r *http.Request) {
			if q := r.URL.Query(); q.Get("key") != key || q.Get("steamids") != alice+","+bob {
				t.Errorf("it asked with %v", q)
			}
			answer("Alice\u0000\n"+strings.Repeat("é", 200))(w, r)
		}, avatar)
		if err != nil || said != "" || len(got) != 2 {
			t.Fatalf("%+v, said %q, %v", got, said, err)
		}
		if got[0].SteamID != alice || len(got[0].Name) > maxName || strings.ContainsAny(got[0].Name, "\x00\n") || !strings.HasPrefix(got[0].Name, "Aliceé") {
			t.Errorf("alice is %+v", got[0])
		}
		if got[1] != (ctl.Profile{SteamID: bob, Name: "bob"}) {
			t.Errorf("bob is %+v", got[1])
		}
		stored, err := os.ReadFile(filepath.Join(dir, got[0].Avatar))
		if err != nil || !bytes.Equal(stored, pic) {
			t.Errorf("her picture: %d bytes, %v", len(stored), err)
		}
	}
}

// TestAttack12Avatars: an avatar's address comes from an answer, and may lead anywhere.
func TestAttack12Avatars(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a server inside was asked")
	}))
	defer inside.Close()
	pic := picturePNG(t)
	for name, avatar := range map[string]http.HandlerFunc{
		"redirect inside": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL+"/x", http.StatusFound) },
		"redirect to file": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		},
		"redirect metadata": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < 1000; i++ {
				if _, err := w.Write(pic); err != nil {
					return
				}
				_, _ = w.Write(make([]byte, 4096))
			}
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html><script>alert(1)</script>") },
		"an SVG": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
		},
		"not there": http.NotFound,
	} {
		dir := filepath.Join(t.TempDir(), "avatars")
		got, said, err := ask(t, dir, answer("Alice"), avatar)
		if err != nil || len(got) != 2 || got[0].Avatar != "" || !strings.Contains(said, "picture of player "+alice) {
			t.Errorf("%s: %+v, said %q, %v", name, got, said, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s: it left %v behind", name, left)
		}
	}
	for _, at := range []string{"http://127.0.0.1:1/x", "https://evil.example/x.jpg", "gopher://x/", "https://0x7f.1/x", "https://[::1]/x", "//x", "https://user@avatars.steamstatic.com/x"} {
		got, said, err := ask(t, t.TempDir(), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"response":{"players":[{"steamid":%q,"personaname":"a","avatarfull":%q}]}}`, alice, at)
		}, http.NotFound)
		if err != nil || len(got) != 1 || got[0].Avatar != "" || said == "" {
			t.Errorf("%s: %+v, said %q, %v", at, got, said, err)
		}
	}
}

// TestAttack24WebAPIKey: whatever goes wrong, nothing repeats the key.
func TestAttack24WebAPIKey(t *testing.T) {
	for name, tt := range map[string]struct {
		api  http.HandlerFunc
		kind error
		says string
	}{
		"refused":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, ctl.ErrSteam, "refuses the Web API key"},
		"too many": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, ctl.ErrSteamRetry, "fewer requests"},
		"trouble":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, ctl.ErrSteamRetry, "status 503"},
		"a page":   {func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "<html>"+r.URL.String()) }, ctl.ErrSteamRetry, "proxy"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.168.0.1/"+r.URL.RawQuery, http.StatusFound)
		}, ctl.ErrSteam, "somewhere that may not be asked"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "900")
			_, _ = fmt.Fprint(w, "{")
		}, ctl.ErrSteamRetry, "cannot be reached"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+10)) }, ctl.ErrSteamRetry, "longer"},
	} {
		_, said, err := ask(t, t.TempDir(), tt.api, http.NotFound)
		if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %q", name, err, tt.says)
		}
		if strings.Contains(fmt.Sprint(err, said), key[:8]) {
			t.Errorf("%s: it repeats the key: %v %s", name, err, said)
		}
	}
	for _, bad := range []string{"", "hunter2-hunter2", key + "0", "GGGG56789ABCDEF0123456789ABCDEFF"} {
		err := Fetch(context.Background(), bad, []string{alice}, Options{})
		if !errors.Is(err, ctl.ErrUsage) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
