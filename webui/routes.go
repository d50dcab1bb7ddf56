package webui

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// route is one address with the right that it takes. Handlers still ask for the
// user's own rows only: a right that is named wrongly here opens nothing.
type route struct {
	method, path string
	right        right
	handle       func(*gin.Context) error
}

// bodies are the routes that take more than maxBody, with how many bytes.
var bodies = map[string]int64{
	"PUT /overlays/:overlay/uploads/:upload": maxChunk,
	"POST /overlays/:overlay/files":          maxForm,
	"POST /blueprints/import":                importBody,
	"POST /overlays/:overlay/files/save":     3*maxText + 16<<10, // form-encoded, a byte takes up to three
}

// scripted are the routes that only the page's script calls: their refusals are JSON.
var scripted = map[string]bool{
	"POST /overlays/:overlay/uploads":        true,
	"GET /overlays/:overlay/uploads/:upload": true,
	"PUT /overlays/:overlay/uploads/:upload": true,
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
		{get, "/metrics", metrics, s.showMetrics},
		{get, "/static/:file", anyone, s.staticFile},
		{get, "/favicon.ico", anyone, s.favicon},
		{get, "/signin", anyone, s.showSignin},
		{post, "/signin", anyone, s.signin},

		{post, "/signout", signedIn, s.signout},
		{get, "/account", signedIn, s.showAccount},
		{post, "/account/password", signedIn, s.changePassword},
		{post, "/account/sessions/end", signedIn, s.endOtherSessions},
		{post, "/account/sessions/:session/end", signedIn, s.endSession},
		{get, "/events", signedIn, s.events},

		{get, "/", signedIn, s.home},
		{get, "/servers", signedIn, s.listServers},
		{get, "/servers/new", signedIn, s.newServer},
		{post, "/servers", signedIn, s.createServer},
		{post, "/servers/act", signedIn, s.actOnServers},
		{get, "/servers/:instance", ownServer, s.showServer},
		{get, "/servers/:instance/log", ownServer, s.showServerLog},
		{get, "/servers/:instance/log.txt", ownServer, s.downloadServerLog},
		{get, "/servers/:instance/files", ownServer, s.showServerFiles},
		{get, "/servers/:instance/files/text", ownServer, s.showGameFile},
		{get, "/servers/:instance/files/download", ownServer, s.downloadGameFile},
		{get, "/servers/:instance/console", ownServer, s.showConsole},
		{post, "/servers/:instance/console", ownServer, s.sendCommand},
		{get, "/servers/:instance/console/:command", ownServer, s.showReply},
		{get, "/servers/:instance/map", ownServer, s.showServerMaps},
		{post, "/servers/:instance/map", ownServer, s.changeMap},
		{get, "/servers/:instance/players", ownServer, s.showPlayers},
		{post, "/servers/:instance/players/kick", ownServer, s.kickPlayer},
		{post, "/servers/:instance/players/ban", ownServer, s.banPlayer},
		{post, "/servers/:instance/players/unban", ownServer, s.unbanPlayer},
		{get, "/players/:steamid/avatar", signedIn, s.playerAvatar},
		{get, "/servers/:instance/history", ownServer, s.showHistory},
		{get, "/servers/:instance/jobs", ownServer, s.showServerJobs},
		{get, "/servers/:instance/settings", ownServer, s.showServerSettings},
		{post, "/servers/:instance", ownServer, s.editServer},
		{post, "/servers/:instance/start", ownServer, s.startServer},
		{post, "/servers/:instance/stop", ownServer, s.stopServer},
		{post, "/servers/:instance/restart", ownServer, s.restartServer},
		{post, "/servers/:instance/apply", ownServer, s.applyServer},
		{post, "/servers/:instance/reset", ownServer, s.resetServer},
		{post, "/servers/:instance/delete", ownServer, s.deleteServer},
		{post, "/servers/:instance/rcon", ownServer, s.revealRCON},
		{post, "/servers/:instance/rcon/renew", ownServer, s.renewRCON},

		{get, "/blueprints", signedIn, s.listBlueprints},
		{get, "/blueprints/new", signedIn, s.newBlueprint},
		{post, "/blueprints", signedIn, s.createBlueprint},
		{get, "/blueprints/import", signedIn, s.showImport},
		{post, "/blueprints/import", signedIn, s.importBlueprint},
		{get, "/blueprints/:id/export", ownBlueprint, s.exportBlueprint},
		{post, "/blueprints/:id/copy", ownBlueprint, s.copyBlueprint},
		{post, "/arguments", signedIn, s.previewArguments},
		{get, "/blueprints/:id", ownBlueprint, s.showBlueprint},
		{post, "/blueprints/:id", ownBlueprint, s.editBlueprint},
		{post, "/blueprints/:id/apply", ownBlueprint, s.applyBlueprint},
		{post, "/blueprints/:id/overlays", ownBlueprint, s.changeBlueprintOverlays},
		{get, "/blueprints/:id/stack", ownBlueprint, s.showStack},
		{get, "/blueprints/:id/maps", ownBlueprint, s.showCampaigns},
		{post, "/blueprints/:id/map", ownBlueprint, s.setMap},
		{post, "/blueprints/:id/preview", ownBlueprint, s.previewConfig},
		{get, "/campaigns", signedIn, s.showOwnCampaigns},
		{post, "/blueprints/:id/delete", ownBlueprint, s.deleteBlueprint},

		{get, "/overlays", signedIn, s.listOverlays},
		{get, "/overlays/new", signedIn, s.newOverlay},
		{post, "/overlays", signedIn, s.createOverlay},
		{get, "/overlays/:overlay", seeOverlay, s.showOverlay},
		{post, "/overlays/:overlay/name", changeOverlay, s.renameOverlay},
		{post, "/overlays/:overlay/delete", changeOverlay, s.deleteOverlay},
		{post, "/overlays/:overlay/items", changeOverlay, s.addItems},
		{post, "/overlays/:overlay/items/remove", changeOverlay, s.removeItem},
		{post, "/overlays/:overlay/download", changeOverlay, s.downloadItems},
		{post, "/overlays/:overlay/recipe", changeOverlay, s.buildManaged},
		{get, "/overlays/:overlay/versions", seeOverlay, s.listVersions},
		{get, "/overlays/:overlay/versions/:number", judgeOverlay, s.showVersion},
		{get, "/overlays/:overlay/versions/:number/file", seeOverlay, s.downloadVersionFile},
		{post, "/overlays/:overlay/versions/:number/use", changeOverlay, s.useVersion},
		{post, "/overlays/:overlay/versions/:number/admit", adminOnly, s.admitFile},
		{get, "/workshop/:item/image", signedIn, s.itemImage},

		{post, "/overlays/:overlay/script", changeOverlay, s.saveScript},
		{post, "/overlays/:overlay/files", changeOverlay, s.uploadFiles},
		{get, "/overlays/:overlay/files/entry", seeOverlay, s.showEntry},
		{get, "/overlays/:overlay/files/download", seeOverlay, s.downloadFiles},
		{post, "/overlays/:overlay/files/save", changeOverlay, s.saveFile},
		{post, "/overlays/:overlay/files/folder", changeOverlay, s.makeFolder},
		{post, "/overlays/:overlay/files/move", changeOverlay, s.moveFile},
		{post, "/overlays/:overlay/files/delete", changeOverlay, s.deleteFile},
		{post, "/overlays/:overlay/uploads", changeOverlay, s.uploadAnswer(s.createUpload)},
		{get, "/overlays/:overlay/uploads/:upload", changeOverlay, s.uploadAnswer(s.showUpload)},
		{http.MethodPut, "/overlays/:overlay/uploads/:upload", changeOverlay, s.uploadAnswer(s.putChunk)},
		{post, "/overlays/:overlay/uploads/:upload/cancel", changeOverlay, s.cancelUpload},
		{post, "/overlays/:overlay/draft/publish", changeOverlay, s.publishDraft},
		{post, "/overlays/:overlay/draft/drop", changeOverlay, s.dropDraft},
		{post, "/overlays/:overlay/draft/remove", changeOverlay, s.takeOut},

		{get, "/game", signedIn, s.showGame},
		{post, "/game/install", adminOnly, s.installGame},
		{post, "/game/check", adminOnly, s.checkGame},
		{get, "/game/update", adminOnly, s.showUpdate},
		{post, "/game/update", adminOnly, s.updateGame},
		{post, "/game/account", adminOnly, s.setAccount},
		{post, "/game/account/forget", adminOnly, s.forgetAccount},
		{post, "/game/key", adminOnly, s.setWebKey},
		{post, "/game/key/forget", adminOnly, s.forgetWebKey},

		{get, "/jobs", signedIn, s.listJobs},
		{get, "/jobs/:number", seeJob, s.showJob},
		{get, "/jobs/:number/log", seeJob, s.showJobLog},
		{get, "/jobs/:number/log.txt", seeJob, s.downloadLog},
		{post, "/jobs/:number/cancel", seeJob, s.cancelJob},
		{post, "/jobs/:number/retry", seeJob, s.retryJob},
	}
	list = append(list, []route{
		{get, "/admin", adminOnly, s.showAdmin},
		{get, "/admin/host", adminOnly, s.showHost},
		{post, "/admin/host/check", adminOnly, s.checkHost},
		{get, "/admin/schedules", adminOnly, s.showSchedules},
		{post, "/admin/schedules/:schedule", adminOnly, s.editSchedule},
		{post, "/admin/schedules/:schedule/run", adminOnly, s.runSchedule},
		{get, "/admin/users", adminOnly, s.listUsers},
		{post, "/admin/users", adminOnly, s.createUser},
		{get, "/admin/users/:user", adminOnly, s.showUser},
		{post, "/admin/users/:user/password", adminOnly, s.resetPassword},
		{post, "/admin/users/:user/admin", adminOnly, s.setAdmin},
		{post, "/admin/users/:user/deactivate", adminOnly, s.deactivateUser},
		{post, "/admin/users/:user/activate", adminOnly, s.activateUser},
		{post, "/admin/users/:user/delete", adminOnly, s.deleteUser},
		{get, "/admin/audit", adminOnly, s.showAudit},
		{get, "/admin/audit.csv", adminOnly, s.exportAudit},
	}...)
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
