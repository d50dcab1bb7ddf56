package steamsim

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// serving starts Serve and returns its address and its end.
func serving(t *testing.T, o ServeOptions) (string, <-chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o.Listen, o.Ready = "127.0.0.1:0", func(url string) { ready <- url }
	go func() { ended <- Serve(ctx, o) }()
	t.Cleanup(stop)
	select {
	case url := <-ready:
		return url, ended
	case err := <-ended:
		t.Fatalf("ended at once: %v", err)
	case <-time.After(patience):
		t.Fatal("does not listen")
	}
	return "", nil
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // the status is all that counts
	return resp.StatusCode
}

// The server ends with the pipe that whoever started it holds, so that nothing
// stays behind, however that one ends.
func TestServerEndsWithItsLifeline(t *testing.T) {
	read, write := io.Pipe()
	url, ended := serving(t, ServeOptions{Lifeline: read, Speed: SpeedInstant})
	if got := status(t, url+"/_sim/ranges"); got != 200 {
		t.Errorf("status %d", got)
	}
	_ = write.Close() // never fails
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it is still there")
	}
}

func TestControlFileIsReadForEachRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.json")
	url, _ := serving(t, ServeOptions{Control: path})
	check := url + "/ISteamApps/UpToDateCheck/v1/?appid=550&version=2243"
	if got := status(t, check); got != 200 {
		t.Errorf("without a control file: %d", got)
	}
	for _, tt := range []struct {
		text string
		want int
	}{
		{`{"workshop":{"api":{"fault":"server_error"}}}`, 503},
		{`{"workshop":{"api":{"fault":"no such thing"}}}`, 500},
		{`{}`, 200},
	} {
		if err := writeFile(path, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := status(t, check); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.text, got, tt.want)
		}
	}
}
