package workshop

import (
	"bytes"
	"image"
	"image/jpeg"
	"os"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func TestImages(t *testing.T) {
	t.Parallel()
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x02\x00\x00\x00\x90\x91h6"
	webp := func(kind, rest string) string {
		return "RIFF\x40\x00\x00\x00WEBP" + kind + "\x20\x00\x00\x00" + rest + strings.Repeat("\x00", 20)
	}
	var photo strings.Builder
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 16, 16)), nil); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		data string
		ok   bool
	}{
		"png":           {png, true},
		"huge png":      {strings.Replace(png, "\x00\x00\x00\x10\x00\x00\x00\x10", "\x00\x00\xff\xff\x00\x00\xff\xff", 1), false},
		"cut png":       {png[:20], false},
		"jpeg":          {photo.String(), true},
		"cut jpeg":      {photo.String()[:30], false},
		"lossy webp":    {webp("VP8 ", "\x00\x00\x00\x9d\x01\x2a\x10\x00\x10\x00"), true},
		"lossless webp": {webp("VP8L", "\x2f\x0f\xc0\x03\x00"), true},
		"webp":          {webp("VP8X", "\x00\x00\x00\x00\x0f\x00\x00\x0f\x00\x00"), true},
		"huge webp":     {webp("VP8X", "\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff"), false},
		"odd webp":      {webp("ALPH", ""), false},
		"svg":           {`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, false},
		"html":          {"<html>", false},
		"nothing":       {"", false},
		"too long":      {png + strings.Repeat("x", maxImage), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.steam.add("101", 1000, "preview_url", b.steam.url+"/ugc/9")
			b.steam.content["9"] = []byte(tt.data)
			got, err := b.fetch(t, "101")
			if it := got["101"]; err != nil || it.State != ctl.ItemStored || it.Image != tt.ok || b.Store.hasImage("101") != tt.ok {
				t.Errorf("item: %+v, %v; want a picture: %v\n%s", it, err, tt.ok, b.log())
			}
			if !tt.ok {
				return
			}
			data, err := os.ReadFile(b.Store.inItem("101", imageName))
			if err != nil || !bytes.Equal(data, []byte(tt.data)) {
				t.Errorf("picture of %d bytes, %v", len(data), err)
			}
			if _, err := b.fetch(t, "101"); err != nil || len(b.steam.ranges["9"]) != 1 {
				t.Errorf("the picture was fetched %d times, %v", len(b.steam.ranges["9"]), err)
			}
		})
	}
}
