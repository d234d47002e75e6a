"""Static files: style sheet, scripts, icon."""

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from desk.web.static_files import StaticFiles

router = APIRouter()


@router.get("/static/{path:path}")
def static_file(request: Request, path: str) -> Response:
    """Serves a file of the table; any other path is unknown."""
    static: StaticFiles = request.app.state.static
    found = static.find(path)
    if found is None:
        raise HTTPException(404)
    return Response(found.content, media_type=found.media_type)
