package steamsim

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// firstAccount is the 64-bit id of account 0.
const firstAccount = 76561197960265728

var webKey = regexp.MustCompile(`\A[0-9A-F]{32}\z`)

// badKey is a key that looks like one and was never given out.
const badKey = "00000000000000000000000000000000"

// personas are what accounts call themselves; one in eight is private, and Steam
// tells no less of its name and picture.
var personas = []string{"mira", "Old Bill", "<img src=x>", "Zoë", "岡崎朋也", "the tank", "x", "…"}

// playerSummary is a player as GetPlayerSummaries describes them.
type playerSummary struct {
	ID         string `json:"steamid"`
	Visibility int    `json:"communityvisibilitystate"`
	Name       string `json:"personaname"`
	Profile    string `json:"profileurl"`
	Avatar     string `json:"avatar"`
	Medium     string `json:"avatarmedium"`
	Full       string `json:"avatarfull"`
	State      int    `json:"personastate"`
}

// serveSummaries answers ISteamUser/GetPlayerSummaries. It needs a key; a missing or
// unknown one gets a page, not JSON.
func (w *Web) serveSummaries(rw http.ResponseWriter, r *http.Request) {
	c, ok := w.read(rw)
	if !ok || w.failCall(rw, r, c.Workshop.API) {
		return
	}
	q := r.URL.Query()
	if key := strings.ToUpper(q.Get("key")); !webKey.MatchString(key) || key == badKey {
		page(rw, http.StatusForbidden, "Forbidden", "Access is denied. Retrying will not help. Please verify your <pre>key=</pre> parameter.")
		return
	}
	var players []playerSummary
	for i, id := range strings.Split(q.Get("steamids"), ",") {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil || n <= firstAccount || n-firstAccount >= 1<<32 || i >= 100 {
			continue // Steam leaves out what it does not know
		}
		at := func(size string) string { return fmt.Sprintf("http://%s/avatars/%d%s.jpg", r.Host, n, size) }
		players = append(players, playerSummary{
			ID: id, Visibility: 3, Name: personas[mix(n, 3)%uint64(len(personas))], Profile: "https://steamcommunity.com/profiles/" + id + "/",
			Avatar: at(""), Medium: at("_medium"), Full: at("_full"), State: 1,
		})
	}
	writeJSON(rw, map[string]any{"response": map[string]any{"players": players}})
}

// serveAvatar draws the picture of an account: a face of a colour of its own.
func (w *Web) serveAvatar(rw http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimSuffix(r.PathValue("file"), ".jpg"), "_")
	n, err := strconv.ParseUint(name, 10, 64)
	if err != nil {
		nothing(rw)
		return
	}
	const side = 64
	pic := image.NewRGBA(image.Rect(0, 0, side, side))
	hue := mix(n, 7)
	for x := range side {
		for y := range side {
			c := color.RGBA{uint8(hue)/2 + 60, uint8(hue>>8)/2 + 60, uint8(hue>>16)/2 + 60, 255}
			if dx, dy := x-side/2, y-side/2; dx*dx+dy*dy < 400 {
				c = color.RGBA{236, 200, 170, 255}
			}
			pic.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, pic, &jpeg.Options{Quality: 80}); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "image/jpeg")
	_, _ = rw.Write(out.Bytes()) // the client may have left
}
