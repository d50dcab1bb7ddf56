package workshop

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

// roleVariable makes the test binary another program: one that can be killed, or
// whose memory can be measured.
const roleVariable = "WORKSHOP_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "fetch":
		err = runFetch(os.Args[1], os.Args[2], os.Args[3:])
	case "serve":
		err = runServer(os.Args[1])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runFetch fetches ids from the fakeSteam at url into the store dir, and prints the
// items.
func runFetch(url, dir string, ids []string) error {
	s := &fakeSteam{url: url}
	o := s.options(&Store{Dir: dir}, func(ctl.Event) {})
	if os.Getenv("WORKSHOP_TEST_REAL") != "" {
		o.piece, o.Examine = 0, examineVPK
	}
	r, err := Fetch(context.Background(), ids, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r.Items)
}

// runServer serves the files ITEM.vpk of a folder as workshop items, and says where.
func runServer(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.vpk"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := emptySteam("http://" + listener.Addr().String())
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		s.describeItem(strings.TrimSuffix(filepath.Base(path), ".vpk"), int(info.Size()))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ISteamRemoteStorage/{method}/v1/", s.serveAPI)
	mux.HandleFunc("GET /ugc/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"`+r.PathValue("id")+`"`)
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.PathValue("id"))+".vpk"))
	})
	fmt.Println(s.url)
	return http.Serve(listener, mux)
}
