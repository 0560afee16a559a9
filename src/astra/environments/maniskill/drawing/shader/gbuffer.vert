#version 450

// The first half of our own shader: positions on the screen, and normals in the world. SAPIEN fixes the names and places
// of the blocks, not what is computed.

layout(set = 0, binding = 0) uniform CameraBuffer {
  mat4 viewMatrix;
  mat4 projectionMatrix;
  mat4 viewMatrixInverse;
  mat4 projectionMatrixInverse;
  float width;
  float height;
} cameraBuffer;

layout(set = 1, binding = 0) uniform ObjectTransformBuffer {
  mat4 modelMatrix;
} objectTransformBuffer;

layout(set = 1, binding = 1) uniform ObjectDataBuffer {
  uvec4 segmentation;
  float transparency;
  int shadeFlat;
} objectDataBuffer;

layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec2 uv;
layout(location = 3) in vec3 tangent;
layout(location = 4) in vec3 bitangent;

layout(location = 0) out vec3 worldNormal;

void main() {
  // Lengths along the axes may differ, so normals shrink where positions stretch.
  mat3 turn = mat3(objectTransformBuffer.modelMatrix);
  vec3 stretch = vec3(dot(turn[0], turn[0]), dot(turn[1], turn[1]), dot(turn[2], turn[2]));
  worldNormal = turn * (normal / stretch);
  vec4 world = objectTransformBuffer.modelMatrix * vec4(position, 1);
  gl_Position = cameraBuffer.projectionMatrix * (cameraBuffer.viewMatrix * world);
}
