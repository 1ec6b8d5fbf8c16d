"""The FastAPI stack: the stack of the reference service, with the routes that are measured.

FastAPI, SQLAlchemy and psycopg2 under uvicorn, written as their tutorials do. Each read counts the votes
with a join.

    DATABASE_URL=postgresql+psycopg2://… SECRET_KEY=… uvicorn app:app --workers 2
"""

import datetime
import os
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, create_engine, func
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

SECRET_KEY = os.environ["SECRET_KEY"]
engine = create_engine(os.environ["DATABASE_URL"])
make_session = sessionmaker(autocommit=False, autoflush=False, bind=engine)
password_hash = PasswordHash((Argon2Hasher(),))
bearer = OAuth2PasswordBearer(tokenUrl="login")
app = FastAPI()


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    password: Mapped[str]


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    content: Mapped[str]
    published: Mapped[bool] = mapped_column(server_default="TRUE")
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class Vote(Base):
    __tablename__ = "votes"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"), primary_key=True)
    dir: Mapped[int] = mapped_column(default=1)


class PostCreate(BaseModel):
    title: str
    content: str
    published: bool = True


class PostBody(PostCreate):
    model_config = ConfigDict(from_attributes=True)
    id: int
    created_at: datetime.datetime
    owner_id: int


class PostOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    Post: PostBody
    votes: int


class VoteBody(BaseModel):
    post_id: int
    dir: int


def get_session():
    session = make_session()
    try:
        yield session
    finally:
        session.close()


Database = Annotated[Session, Depends(get_session)]


def get_caller(token: Annotated[str, Depends(bearer)], session: Database) -> User:
    refusal = HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"})
    try:
        user_id = jwt.decode(token, SECRET_KEY, algorithms=["HS256"])["user_id"]
    except (jwt.PyJWTError, KeyError):
        raise refusal from None
    user = session.query(User).filter(User.id == user_id).first()
    if user is None:
        raise refusal
    return user


Caller = Annotated[User, Depends(get_caller)]


def with_votes(session: Session):
    query = session.query(Post, func.count(Vote.post_id).label("votes"))
    return query.join(Vote, Vote.post_id == Post.id, isouter=True).group_by(Post.id)


@app.get("/posts", response_model=list[PostOut])
def get_posts(session: Database, caller: Caller, limit: int = 10, skip: int = 0):
    # Newest first, so that it returns the same posts as the service.
    return with_votes(session).order_by(Post.id.desc()).limit(limit).offset(skip).all()


@app.get("/posts/{id}", response_model=PostOut)
def get_post(id: int, session: Database, caller: Caller):
    post = with_votes(session).filter(Post.id == id).first()
    if post is None:
        raise HTTPException(404, f"the post with the id:{id} was no found")
    return post


@app.post("/posts", status_code=201, response_model=PostBody)
def create_post(body: PostCreate, session: Database, caller: Caller):
    post = Post(owner_id=caller.id, **body.model_dump())
    session.add(post)
    session.commit()
    session.refresh(post)
    return post


@app.post("/vote", status_code=201)
def vote(body: VoteBody, session: Database, caller: Caller):
    if session.query(Post).filter(Post.id == body.post_id).first() is None:
        raise HTTPException(404, f"Post with id: {body.post_id} does not exist")
    found = session.query(Vote).filter(Vote.post_id == body.post_id, Vote.user_id == caller.id).first()
    if found is not None and found.dir == body.dir:
        raise HTTPException(409, f"user {caller.id} has already voted on post {body.post_id}")
    session.merge(Vote(post_id=body.post_id, user_id=caller.id, dir=body.dir))
    session.commit()
    return {"message": "successfully added vote"}


@app.post("/login", status_code=202)
def login(form: Annotated[OAuth2PasswordRequestForm, Depends()], session: Database):
    user = session.query(User).filter(User.email == form.username).first()
    if user is None or not password_hash.verify(form.password, user.password):
        raise HTTPException(403, "invalid credentials")
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=30)
    token = jwt.encode({"user_id": user.id, "exp": end}, SECRET_KEY, algorithm="HS256")
    return {"access_token": token, "token_type": "bearer"}
