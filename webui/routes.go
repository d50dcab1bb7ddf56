package webui

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// right is what a visitor must have for a route. Whose thing it is, each handler
// decides by asking for the user's own rows: somebody else's are not found.
type right int

const (
	anyone right = iota
	signedIn
	adminOnly
)

type route struct {
	method, path string
	right        right
	handle       func(*gin.Context) error
}

// bodies are the routes that take more than maxBody, with how many bytes.
var bodies = map[string]int64{
	"PUT /overlays/:overlay/uploads/:upload": maxChunk,
	"POST /overlays/:overlay/files":          maxForm,
	"POST /overlays/:overlay/files/save":     3*maxText + 16<<10, // form-encoded, a byte takes up to three
}

func bodyBound(method, path string) int64 {
	if n, ok := bodies[method+" "+path]; ok {
		return n
	}
	return maxBody
}

// routes is every address of the site, grouped by page. The test of rights knows
// each of them by name.
func (s *Server) routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	list := []route{
		{get, "/healthz", anyone, s.healthz},
		{get, "/readyz", anyone, s.readyz},
		{get, "/static/:file", anyone, s.staticFile},
		{get, "/favicon.ico", anyone, s.favicon},
		{get, "/signin", anyone, s.showSignin},
		{post, "/signin", anyone, s.signin},

		{post, "/signout", signedIn, s.signout},
		{get, "/account", signedIn, s.showAccount},
		{post, "/account/password", signedIn, s.changePassword},
		{get, "/events", signedIn, s.events},

		{get, "/", signedIn, s.home},
		{get, "/servers", signedIn, s.listServers},
		{get, "/servers/new", signedIn, s.newServer},
		{post, "/servers", signedIn, s.createServer},
		{get, "/servers/:instance", signedIn, s.showServer},
		{get, "/servers/:instance/jobs", signedIn, s.showServerJobs},
		{get, "/servers/:instance/settings", signedIn, s.showServerSettings},
		{post, "/servers/:instance", signedIn, s.editServer},
		{post, "/servers/:instance/start", signedIn, s.startServer},
		{post, "/servers/:instance/stop", signedIn, s.stopServer},
		{post, "/servers/:instance/restart", signedIn, s.restartServer},
		{post, "/servers/:instance/apply", signedIn, s.applyServer},
		{post, "/servers/:instance/reset", signedIn, s.resetServer},
		{post, "/servers/:instance/delete", signedIn, s.deleteServer},
		{post, "/servers/:instance/rcon", signedIn, s.revealRCON},

		{get, "/blueprints", signedIn, s.listBlueprints},
		{get, "/blueprints/new", signedIn, s.newBlueprint},
		{post, "/blueprints", signedIn, s.createBlueprint},
		{post, "/arguments", signedIn, s.previewArguments},
		{get, "/blueprints/:id", signedIn, s.showBlueprint},
		{post, "/blueprints/:id", signedIn, s.editBlueprint},
		{post, "/blueprints/:id/apply", signedIn, s.applyBlueprint},
		{post, "/blueprints/:id/overlays", signedIn, s.changeBlueprintOverlays},
		{get, "/blueprints/:id/stack", signedIn, s.showStack},
		{get, "/blueprints/:id/maps", signedIn, s.showCampaigns},
		{post, "/blueprints/:id/map", signedIn, s.setMap},
		{post, "/blueprints/:id/preview", signedIn, s.previewConfig},
		{get, "/campaigns", signedIn, s.showOwnCampaigns},
		{post, "/blueprints/:id/delete", signedIn, s.deleteBlueprint},

		{get, "/overlays", signedIn, s.listOverlays},
		{get, "/overlays/new", signedIn, s.newOverlay},
		{post, "/overlays", signedIn, s.createOverlay},
		{post, "/overlays/refresh", adminOnly, s.refreshOverlays},
		{post, "/overlays/collect", adminOnly, s.collectOverlays},
		{get, "/overlays/:overlay", signedIn, s.showOverlay},
		{post, "/overlays/:overlay/name", signedIn, s.renameOverlay},
		{post, "/overlays/:overlay/delete", signedIn, s.deleteOverlay},
		{post, "/overlays/:overlay/items", signedIn, s.addItems},
		{post, "/overlays/:overlay/items/remove", signedIn, s.removeItem},
		{post, "/overlays/:overlay/download", signedIn, s.downloadItems},
		{post, "/overlays/:overlay/recipe", signedIn, s.buildManaged},
		{get, "/overlays/:overlay/versions", signedIn, s.listVersions},
		{get, "/overlays/:overlay/versions/:number", signedIn, s.showVersion},
		{get, "/overlays/:overlay/versions/:number/file", signedIn, s.downloadVersionFile},
		{post, "/overlays/:overlay/versions/:number/use", signedIn, s.useVersion},
		{post, "/overlays/:overlay/versions/:number/admit", adminOnly, s.admitFile},
		{get, "/workshop/:item/image", signedIn, s.itemImage},

		{post, "/overlays/:overlay/script", signedIn, s.saveScript},
		{post, "/overlays/:overlay/files", signedIn, s.uploadFiles},
		{get, "/overlays/:overlay/files/entry", signedIn, s.showEntry},
		{get, "/overlays/:overlay/files/download", signedIn, s.downloadFiles},
		{post, "/overlays/:overlay/files/save", signedIn, s.saveFile},
		{post, "/overlays/:overlay/files/folder", signedIn, s.makeFolder},
		{post, "/overlays/:overlay/files/move", signedIn, s.moveFile},
		{post, "/overlays/:overlay/files/delete", signedIn, s.deleteFile},
		{post, "/overlays/:overlay/uploads", signedIn, s.uploadAnswer(s.createUpload)},
		{get, "/overlays/:overlay/uploads/:upload", signedIn, s.uploadAnswer(s.showUpload)},
		{http.MethodPut, "/overlays/:overlay/uploads/:upload", signedIn, s.uploadAnswer(s.putChunk)},
		{post, "/overlays/:overlay/uploads/:upload/cancel", signedIn, s.cancelUpload},
		{post, "/overlays/:overlay/draft/publish", signedIn, s.publishDraft},
		{post, "/overlays/:overlay/draft/drop", signedIn, s.dropDraft},
		{post, "/overlays/:overlay/draft/remove", signedIn, s.takeOut},

		{get, "/game", signedIn, s.showGame},
		{post, "/game/install", adminOnly, s.installGame},
		{post, "/game/account", adminOnly, s.setAccount},
		{post, "/game/account/forget", adminOnly, s.forgetAccount},

		{get, "/jobs", signedIn, s.listJobs},
		{get, "/jobs/:number", signedIn, s.showJob},
		{get, "/jobs/:number/log", signedIn, s.downloadLog},
		{post, "/jobs/:number/cancel", signedIn, s.cancelJob},
		{post, "/jobs/:number/retry", signedIn, s.retryJob},
	}
	if s.Monitor != nil {
		methods := []string{get}
		if !s.MonitorReadOnly {
			methods = []string{get, post, http.MethodDelete}
		}
		for _, m := range methods {
			list = append(list, route{m, MonitorPath, adminOnly, s.monitor}, route{m, MonitorPath + "/*rest", adminOnly, s.monitor})
		}
	}
	return list
}

// monitor hands over to the queue monitor, which is somebody else's program.
func (s *Server) monitor(c *gin.Context) error {
	s.Monitor.ServeHTTP(c.Writer, c.Request)
	return nil
}
